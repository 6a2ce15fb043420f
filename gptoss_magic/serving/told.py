"""What a caller tells of a conversation, as harmony's messages; our own words by their tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import Message
from gptoss_magic.serving.body import Body
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.turns.told import ToldConversation

if TYPE_CHECKING:
    from gptoss_magic.serving.exact import Exact

TEXT_PARTS = ("text", "input_text", "output_text", "reasoning_text", "summary_text")


class Told(ToldConversation):
    """A caller's. `exact`: what was said here, in its own tokens."""

    def __init__(self, exact: Exact, before: tuple[Message, ...] = ()) -> None:
        super().__init__(before)
        self.exact = exact

    def answer(self, text: str, channel: str = "final") -> None:
        """What the model said, to the user."""
        self.messages.append(self.exact.text(channel, text) or Message("assistant", text, channel))

    def thought(self, text: str, known: Message | None = None) -> None:
        """What it thought; `known` is the same in its own tokens."""
        if known is not None and (not text or known.content == text):
            self.messages.append(known)
        elif text:
            known = self.exact.text("analysis", text)
            self.messages.append(known or Message("assistant", text, "analysis"))

    def call(self, call_id: str, name: str, raw: str) -> None:
        """A call that the model made; its thought before it stands again where it was left out."""
        self.names[call_id] = name
        known = self.exact.call(call_id, name, raw)
        if known is None:
            self.add_call(name, raw)
            return
        is_thought = bool(self.messages) and self.messages[-1].role == "assistant"
        if not is_thought:
            self.messages += known.before
        self.messages.append(known.message)

    def result(self, call_id: str, text: str, name: str = "") -> None:
        """What the tool of a call gave. Raises ApiError where there was no such call."""
        name = self.names.get(call_id) or name
        if not name:
            raise ApiError(
                400, f"no tool call has the id {call_id!r}: send the call too", param="call_id"
            )
        call = self.messages[-1] if self.messages else None
        if call is not None and call.recipient == name:  # of no function: as gpt-oss knows it
            self.messages.append(Message("tool", text, call.channel, "assistant", author=name))
        else:
            self.add_result(name, text)


def text_of(holder: Body, name: str) -> str:
    """A content: a text, or parts of text. Raises ApiError for pictures, sounds and files."""
    value = holder.raw(name)
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise holder.fault(name, "a text or a list of parts", value)
    return "".join(_part(holder, name, place, one) for place, one in enumerate(value))


def _part(holder: Body, name: str, place: int, value: Any) -> str:
    if isinstance(value, str):
        return value
    at = f"{name}[{place}]"
    if not isinstance(value, dict):
        raise holder.fault(at, "a part", value)
    part = Body(value, at)
    kind = part.text("type", "text")
    if kind == "refusal":
        return part.text("refusal")
    if kind not in TEXT_PARTS:
        raise ApiError(
            400, f"{at} is of type {kind}: this model reads text alone: leave it out", param=at
        )
    return part.text("text")


def arguments_of(holder: Body, name: str = "arguments") -> str:
    """A call's arguments as text; some callers send the object."""
    value = holder.raw(name)
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return holder.text(name)
