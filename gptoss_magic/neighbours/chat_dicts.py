"""Conversations as lists of {role, content}, as evaluation harnesses have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.told import ToldMessages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXTS = ("text", "input_text", "output_text")


def told_of_dicts(messages: Sequence[Mapping[str, Any]]) -> ToldMessages:
    """All of them. Raises InputError for other roles, and for what is no text."""
    told = ToldMessages()
    for message in messages:
        role, text = str(message.get("role")), text_in(message.get("content"))
        if role == "assistant":
            told.assistant(text)
        elif role in ("system", "developer", "user"):
            told.say("user" if role == "user" else "developer", text)
        else:
            raise InputError(f"a message of role {role!r}: give system, user or assistant")
    return told


def text_in(content: Any) -> str:
    """The text of a content, or of its parts. Raises InputError for pictures and the like."""
    if isinstance(content, str):
        return content
    parts = []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind not in TEXTS:
            raise InputError(
                f"a message has a part of type {kind}: this model reads text alone; leave it out"
            )
        parts.append(str(part.get("text", "")))
    return "".join(parts)
