"""A conversation as others tell it, in harmony's messages: the endpoint's callers, frameworks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gptoss_magic.records import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = "<|constrain|>json"


class ToldConversation:
    """A conversation in the making, behind the messages `before`.

    `instructions`: what system and developer said before all else. `names`: of calls, by id.
    """

    def __init__(self, before: Sequence[Message] = ()) -> None:
        self.messages: list[Message] = list(before)
        self.instructions: list[str] = []
        self.names: dict[str, str] = {}

    def say(self, role: str, text: str) -> None:
        """What the user says; system and developer: instructions, later messages of their own."""
        if role == "user":
            self.messages.append(Message("user", text))
        elif not self.messages:
            self.instructions.append(text)
        elif text:
            self.messages.append(Message("developer", f"# Instructions\n\n{text}"))

    def add_call(self, name: str, raw: str) -> None:
        """A call that the model made, by its text."""
        self.messages.append(Message("assistant", raw, "commentary", f"functions.{name}", JSON))

    def add_result(self, name: str, text: str) -> None:
        """What the tool of that name gave."""
        author = f"functions.{name}"
        self.messages.append(Message("tool", text, "commentary", "assistant", author=author))


def is_same_json(ours: str, theirs: str) -> bool:
    """True for the same text, and for two of the same JSON value."""
    if ours == theirs:
        return True
    try:
        return bool(json.loads(ours) == json.loads(theirs))
    except (ValueError, RecursionError):
        return False
