"""A framework's conversation as harmony's messages; what the model said is read by its tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.speech import CALL, calls_of, text_of
from gptoss_magic.records import Message
from gptoss_magic.session import current
from gptoss_magic.turns.told import ToldConversation, is_same_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Turn


@dataclass(frozen=True)
class ToldCall:
    """A call as a framework sends it back; `raw`: its arguments as JSON."""

    id: str
    name: str
    raw: str


class ToldMessages(ToldConversation):
    """A framework's. `conversation`: whose KV cache it goes on with; '' where the model has said
    nothing in it yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conversation = ""

    def assistant(
        self, text: str, thought: str = "", calls: Sequence[ToldCall] = (), turn_id: str = ""
    ) -> None:
        """What the model said: as the turn has it, where it is still the same."""
        self.names.update((call.id, call.name) for call in calls)
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
            self.add_call(call.name, call.raw)

    def result(self, call_id: str, text: str, name: str = "") -> None:
        """What a tool gave. Raises InputError where no call has this id and no name is given."""
        name = self.names.get(call_id) or name
        if not name:
            raise InputError(
                f"a tool's result: no call before it has the id {call_id!r}; give the call first"
            )
        self.add_result(name, text)

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
        and all(is_same_json(raw, call.raw) for (_, raw), call in zip(said, calls, strict=True))
    )


def raw_of(arguments: Any) -> str:
    """A call's arguments as JSON: frameworks have the object, or the text."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
