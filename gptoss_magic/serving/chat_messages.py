"""The messages of /v1/chat/completions as a conversation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gptoss_magic.serving.told import Told, arguments_of, text_of

if TYPE_CHECKING:
    from gptoss_magic.serving.body import Body

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def tell(body: Body, told: Told) -> None:
    """Tell `told` all messages. Raises ApiError."""
    last_function = ""
    for message in body.objects("messages"):
        role = message.word("role", ROLES, "user")
        if role == "assistant":
            last_function = _assistant(message, told) or last_function
        elif role == "tool":
            name = message.text("name")
            told.result(
                message.text("tool_call_id", is_needed=True), text_of(message, "content"), name
            )
        elif role == "function":
            told.result(last_function, text_of(message, "content"), message.text("name"))
        else:
            told.say(role, text_of(message, "content"))


def _assistant(message: Body, told: Told) -> str:
    """Its thought, its words and its calls; gives the name of an old-style call."""
    told.thought(message.text("reasoning") or message.text("reasoning_content"))
    calls = list(message.objects("tool_calls"))
    old = message.inner("function_call")
    said = text_of(message, "content") or message.text("refusal")
    if said:
        told.answer(said, "commentary" if calls or old else "final")
    for call in calls:
        custom = call.inner("custom")
        function = custom or call.inner("function") or call
        raw = arguments_of(function)
        if custom:
            raw = json.dumps({"input": custom.text("input")}, ensure_ascii=False)
        told.call(call.text("id"), function.text("name", is_needed=True), raw)
    if old:
        name = old.text("name", is_needed=True)
        told.call(name, name, arguments_of(old))
        return name
    return ""
