"""A framework's conversation as harmony's messages; what the model said is read by its tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.speech import CALL, calls_of, text_of
from gptoss_magic.records import Message
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Turn

JSON = "<|constrain|>json"


@dataclass(frozen=True)
class ToldCall:
    """A call as a framework sends it back; `raw`: its arguments as JSON."""

    id: str
    name: str
    raw: str


class ToldMessages:
    """A conversation in the making.

    `instructions`: what system and developer said before all else. `conversation`: whose KV cache
    it goes on with; '' where the model has said nothing in it yet.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.instructions: list[str] = []
        self.conversation = ""
        self._names: dict[str, str] = {}  # of calls, by id

    def user(self, text: str) -> None:
        """What the user says."""
        self.messages.append(Message("user", text))

    def developer(self, text: str) -> None:
        """What system or developer say: instructions, and later a message of its own."""
        if not self.messages:
            self.instructions.append(text)
        elif text:
            self.messages.append(Message("developer", f"# Instructions\n\n{text}"))

    def assistant(
        self, text: str, thought: str = "", calls: Sequence[ToldCall] = (), turn_id: str = ""
    ) -> None:
        """What the model said: as the turn has it, where it is still the same."""
        self._names.update((call.id, call.name) for call in calls)
        turn = self._turn(turn_id, calls)
        if turn is not None and _is_same(turn, text, calls):
            self.messages += turn.said
            self.conversation = turn.request.conversation
            return
        if thought:
            self.messages.append(Message("assistant", thought, "analysis"))
        if text:
            self.messages.append(Message("assistant", text, "commentary" if calls else "final"))
        for call in calls:
            to = f"functions.{call.name}"
            self.messages.append(Message("assistant", call.raw, "commentary", to, JSON))

    def result(self, call_id: str, text: str, name: str = "") -> None:
        """What a tool gave. Raises InputError where no call has this id and no name is given."""
        name = self._names.get(call_id) or name
        if not name:
            raise InputError(f"a tool's result: no call before it has the id {call_id!r}")
        author = f"functions.{name}"
        self.messages.append(Message("tool", text, "commentary", "assistant", author=author))

    def checked(self) -> ToldMessages:
        """Itself. Raises InputError where nothing was said."""
        if not self.messages and not self.instructions:
            raise InputError("there are no messages: give at least one of the user")
        return self

    def _turn(self, turn_id: str, calls: Sequence[ToldCall]) -> Turn | None:
        ids = [call.id.removeprefix(CALL).rpartition("_")[0] for call in calls]
        known = map(current().conversations.get, filter(None, [turn_id, *ids]))
        return next((turn for turn in known if turn is not None), None)


def _is_same(turn: Turn, text: str, calls: Sequence[ToldCall]) -> bool:
    said = calls_of(turn.said)
    same_names = [name for name, _ in said] == [call.name for call in calls]
    return (
        text == text_of(turn.said)
        and same_names
        and all(_same_value(raw, call.raw) for (_, raw), call in zip(said, calls, strict=True))
    )


def _same_value(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return True
    try:
        return bool(json.loads(ours) == json.loads(theirs))
    except (ValueError, RecursionError):
        return False


def raw_of(arguments: Any) -> str:
    """A call's arguments as JSON: frameworks have the object, or the text."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
