"""LangChain's messages as a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.told import ToldCall, ToldMessages, raw_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage, BaseMessage

NOT_JSON = "no whole JSON object: "  # before a call's arguments, so that nobody completes them
TEXTS = ("text", "text-plain")
CALLS = ("tool_call", "invalid_tool_call", "tool_call_chunk", "tool_use", "function_call")


def told_of(messages: Sequence[BaseMessage]) -> ToldMessages:
    """All of them. Raises InputError for pictures, sounds and files, and for unknown roles."""
    told = ToldMessages()
    for message in messages:
        _tell(message, told)
    return told


def _tell(message: BaseMessage, told: ToldMessages) -> None:
    from langchain_core.messages import AIMessage

    if isinstance(message, AIMessage):
        _assistant(message, told)
        return
    text, role = _text(message), _role(message)
    if role == "tool":
        call_id = str(getattr(message, "tool_call_id", ""))
        told.result(call_id, text, message.name or "")
    elif role in ("system", "developer"):
        told.say("developer", text)
    elif role == "assistant":
        told.assistant(text)
    else:
        told.say("user", text)


def _role(message: BaseMessage) -> str:
    kind = message.type.lower().removesuffix("messagechunk")
    role = str(getattr(message, "role", "")) if kind == "chat" else kind
    known = {"human": "user", "function": "tool", "ai": "assistant"}
    role = known.get(role, role)
    if role not in ("user", "system", "developer", "assistant", "tool"):
        raise InputError(f"a message of role {role!r}: give system, user, assistant or tool")
    return role


def _assistant(message: AIMessage, told: ToldMessages) -> None:
    blocks = message.content_blocks
    thoughts = [str(one.get("reasoning", "")) for one in blocks if one["type"] == "reasoning"]
    calls = [
        ToldCall(str(call["id"] or ""), str(call["name"] or ""), _raw(call["args"]))
        for call in (*message.tool_calls, *message.invalid_tool_calls)
    ]
    told.assistant(_text(message), "".join(thoughts), calls, message.id or "")


def _raw(arguments: Any) -> str:
    return raw_of(arguments or {}).removeprefix(NOT_JSON)


def _text(message: BaseMessage) -> str:
    """The text of all blocks. Raises InputError for what is none."""
    parts = []
    for block in message.content_blocks:
        value: Any = block.get("value") if block["type"] == "non_standard" else block
        kind = value.get("type") if isinstance(value, dict) else None
        if kind in TEXTS and "text" in value:
            parts.append(str(value["text"]))
        elif kind != "reasoning" and kind not in CALLS:
            raise InputError(
                f"a {message.type} message has a block of type {kind}: this model reads text "
                "alone; leave it out"
            )
    return "".join(parts)
