"""Messages to token ids, as the harmony format writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.harmony.native import tools_section
from gptoss_magic.harmony.schema import definition
from gptoss_magic.records import Message
from gptoss_magic.vocabulary import EFFORT, check_effort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.harmony.codec import HarmonyCodec
    from gptoss_magic.records import ToolSpec


@dataclass(frozen=True)
class SystemSettings:
    """What the system message says. `current_date` is YYYY-MM-DD or None for no date line.

    `has_tools`: the developer message defines functions. `native`: tools of other namespaces.
    """

    identity: str = "You are ChatGPT, a large language model trained by OpenAI."
    knowledge_cutoff: str = "2024-06"
    current_date: str | None = None
    effort: str = EFFORT
    has_tools: bool = False
    native: tuple[ToolSpec, ...] = ()


def system_message(settings: SystemSettings) -> Message:
    """The system message. Raises InputError for an unknown effort."""
    check_effort(settings.effort)
    head = f"{settings.identity}\nKnowledge cutoff: {settings.knowledge_cutoff}"
    if settings.current_date:
        head += f"\nCurrent date: {settings.current_date}"
    channels = (
        "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    )
    if settings.has_tools:
        channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
    parts = (head, f"Reasoning: {settings.effort}", tools_section(settings.native), channels)
    return Message("system", "\n\n".join(filter(None, parts)))


def developer_message(
    instructions: str = "",
    tools: Sequence[ToolSpec] = (),
    response_formats: Mapping[str, dict[str, Any]] | None = None,
) -> Message:
    """Instructions, tool definitions and response formats in one developer message."""
    parts = []
    if instructions:
        parts.append(f"# Instructions\n\n{instructions}")
    if tools:
        defined = "".join(map(definition, tools))
        space = f"namespace functions {{\n\n{defined}}} // namespace functions"
        parts.append(f"# Tools\n\n## functions\n\n{space}")
    if response_formats:
        formats = "\n\n".join(
            f"## {name}\n\n{json.dumps(schema, separators=(',', ':'), ensure_ascii=False)}"
            for name, schema in response_formats.items()
        )
        parts.append(f"# Response Formats\n\n{formats}")
    return Message("developer", "\n\n".join(parts))


def render(messages: Sequence[Message], codec: HarmonyCodec, *, prompt: bool = True) -> list[int]:
    """Token ids of `messages`; with `prompt`, the assistant's header is opened at the end.

    Text that looks like a special token is encoded as ordinary text; a message that knows its exact
    tokens is written by them.
    """
    ids = [token for message in messages for token in _message(message, codec)]
    if prompt:
        ids += [codec.special["start"], *codec.encode("assistant")]
    return ids


def _message(message: Message, codec: HarmonyCodec) -> list[int]:
    if message.ids:
        return list(message.ids)
    special, encode = codec.special, codec.encode
    header = message.author or message.role
    if message.recipient and message.recipient != "all":
        header += f" to={message.recipient}"
    ids = [special["start"], *encode(header)]
    if message.channel:
        ids += [special["channel"], *encode(message.channel)]
    if message.content_type:
        ids += _content_type(message.content_type, codec)
    return [*ids, special["message"], *encode(message.content), _ending(message, special)]


def _content_type(kind: str, codec: HarmonyCodec) -> list[int]:
    bare = kind.removeprefix("<|constrain|>")
    if bare == kind:
        return codec.encode(f" {kind}")
    return [*codec.encode(" "), codec.special["constrain"], *codec.encode(bare)]


def _ending(message: Message, special: dict[str, int]) -> int:
    called = message.role == "assistant" and message.recipient not in (None, "all")
    return special["call" if called else "end"]
