"""Messages to token ids, as the harmony format writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import Message, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.harmony.codec import HarmonyCodec

EFFORTS = ("low", "medium", "high")


@dataclass(frozen=True)
class SystemSettings:
    """What the system message says. `current_date` is YYYY-MM-DD or None for no date line."""

    identity: str = "You are ChatGPT, a large language model trained by OpenAI."
    knowledge_cutoff: str = "2024-06"
    current_date: str | None = None
    effort: str = "medium"
    has_tools: bool = False


def system_message(settings: SystemSettings) -> Message:
    """The system message. Raises InputError for an unknown effort."""
    if settings.effort not in EFFORTS:
        raise InputError(f"effort {settings.effort!r}: give low, medium or high")
    head = f"{settings.identity}\nKnowledge cutoff: {settings.knowledge_cutoff}"
    if settings.current_date:
        head += f"\nCurrent date: {settings.current_date}"
    channels = (
        "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    )
    if settings.has_tools:
        channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
    return Message("system", f"{head}\n\nReasoning: {settings.effort}\n\n{channels}")


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
        defined = "".join(map(_definition, tools))
        space = f"namespace functions {{\n\n{defined}}} // namespace functions"
        parts.append(f"# Tools\n\n## functions\n\n{space}")
    if response_formats:
        formats = "\n\n".join(
            f"## {name}\n\n{json.dumps(schema, separators=(',', ':'), ensure_ascii=False)}"
            for name, schema in response_formats.items()
        )
        parts.append(f"# Response Formats\n\n{formats}")
    return Message("developer", "\n\n".join(parts))


def _definition(tool: ToolSpec) -> str:
    about = "".join(f"// {line}\n" for line in tool.description.splitlines())
    if not tool.parameters.get("properties"):
        return f"{about}type {tool.name} = () => any;\n\n"
    return f"{about}type {tool.name} = (_: {_type(tool.parameters, '')}) => any;\n\n"


def _type(schema: Mapping[str, Any], indent: str) -> str:
    """A JSON schema as the TypeScript-like type that harmony uses."""
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return " | ".join(_type(option, indent) for option in schema[union])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}, indent) for one in kind)
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if kind == "object":
        return _object(schema, indent)
    if kind == "array":
        return f"{_type(schema.get('items', {}), indent)}[]"
    return "number" if kind == "integer" else str(kind)


def _object(schema: Mapping[str, Any], indent: str) -> str:
    fields = schema.get("properties")
    if not fields:
        return "object"
    required = schema.get("required", ())
    lines = "".join(_field(k, v, k in required, indent) for k, v in fields.items())
    return f"{{\n{lines}{indent}}}"


def _field(name: str, schema: Mapping[str, Any], required: bool, indent: str) -> str:
    about = "".join(f"{indent}// {s}\n" for s in schema.get("description", "").splitlines())
    default = schema.get("default")
    note = "" if default is None else f" // default: {_plain(default)}"
    optional = "" if required else "?"
    return f"{about}{indent}{name}{optional}: {_type(schema, indent + '    ')},{note}\n"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def render(messages: Sequence[Message], codec: HarmonyCodec, *, prompt: bool = True) -> list[int]:
    """Token ids of `messages`; with `prompt`, the assistant's header is opened at the end.

    Text that looks like a special token is encoded as ordinary text.
    """
    ids = [token for message in messages for token in _message(message, codec)]
    if prompt:
        ids += [codec.special["start"], *codec.encode("assistant")]
    return ids


def _message(message: Message, codec: HarmonyCodec) -> list[int]:
    special, encode = codec.special, codec.encode
    header = message.author or message.role
    if message.recipient and message.role == "tool":
        header += f" to={message.recipient}"
    ids = [special["start"], *encode(header)]
    if message.channel:
        target = f" to={message.recipient}" if message.recipient and message.role != "tool" else ""
        ids += [special["channel"], *encode(message.channel + target)]
    if message.content_type:
        kind = message.content_type.removeprefix("<|constrain|>")
        ids += encode(" ")
        if kind != message.content_type:
            ids.append(special["constrain"])
        ids += encode(kind)
    return [*ids, special["message"], *encode(message.content), _ending(message, special)]


def _ending(message: Message, special: dict[str, int]) -> int:
    called = message.role == "assistant" and message.recipient not in (None, "all")
    return special["call" if called else "end"]
