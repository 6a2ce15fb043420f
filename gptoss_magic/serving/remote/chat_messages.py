"""A request's messages as chat completions have them: the server renders its own prompt of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.harmony import prune
from gptoss_magic.quoting import encodable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Message, Request

HEADING = "# Instructions\n\n"
SECTIONS = re.compile(r"(?:^|\n\n)# (?:Tools\n\n## functions|Response Formats)\n", re.DOTALL)


def chat_messages(messages: Sequence[Message], thought_keys: Sequence[str]) -> list[dict[str, Any]]:
    """Roles system, user, assistant and tool; `thought_keys` take the analysis of a turn.

    The system message is the server's own; of the developer's the instructions are sent, since
    tools and schemas have keys of their own.
    """
    return list(_chat(prune(messages), thought_keys))


def _chat(messages: Sequence[Message], thought_keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    thought, calls = "", list[str]()
    num_calls = 0
    for message in messages:
        if message.role == "developer":
            text = encodable(instructions_of(message.content))
            if text:
                yield {"role": "system", "content": text}
        elif message.role == "user":
            yield {"role": "user", "content": encodable(message.content)}
        elif message.role == "tool":
            called = calls.pop(0) if calls else f"call_{num_calls}"
            yield {"role": "tool", "tool_call_id": called, "content": encodable(message.content)}
        elif message.role == "assistant" and message.channel == "analysis":
            thought = "\n\n".join(filter(None, (thought, message.content)))
        elif message.role == "assistant":
            said: dict[str, Any] = {"role": "assistant", "content": encodable(message.content)}
            if message.recipient:
                calls.append(f"call_{num_calls}")
                num_calls += 1
                said |= {"content": None, "tool_calls": [_call(message, calls[-1])]}
            if thought:
                said |= dict.fromkeys(thought_keys, thought)
            thought = ""
            yield said


def instructions_of(content: str) -> str:
    """The instructions of a developer message, without its tools and response formats."""
    text = content.removeprefix(HEADING) if content.startswith(HEADING) else content
    section = SECTIONS.search(text)
    return text[: section.start()] if section else text


def chat_tools(request: Request) -> list[dict[str, Any]]:
    """The tools of a request, as chat completions have them."""
    empty = {"type": "object", "properties": {}}
    return [
        {
            "type": "function",
            "function": {
                "name": tool.spec.name,
                "description": tool.spec.description,
                "parameters": tool.spec.parameters or empty,
            },
        }
        for tool in request.tools
    ]


def _call(message: Message, number: str) -> dict[str, Any]:
    name = (message.recipient or "").removeprefix("functions.")
    return {
        "id": number,
        "type": "function",
        "function": {"name": name, "arguments": message.content},
    }
