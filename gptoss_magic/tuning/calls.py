"""Tool calls and tool definitions as a row's messages have them: names and arguments, checked."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import Message, ToolSpec
from gptoss_magic.tuning.values import is_empty, json_of, present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.tuning.notes import RowNotes

    Tools = Mapping[str, ToolSpec]

SPACE, JSON = "functions.", "<|constrain|>json"
NAME = re.compile(r"[^\s<>|]+")
SCHEMAS = ("parameters", "input_schema", "inputSchema")  # OpenAI's, Anthropic's, MCP's
LITERAL = ("default", "const", "enum", "examples")  # keywords whose values may hold null


def call_of(call: Any, tools: Tools, notes: RowNotes) -> tuple[Any, Message]:
    """(id, message) of one of OpenAI's tool calls; `tools` are those that the row defines.

    Raises InputError for a call without a name, or whose arguments are no JSON object.
    """
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise InputError("a tool call that is no object with a name")
    name = bare_name(function.get("name"), notes)
    raw = _arguments(function.get("arguments"), name, tools.get(name), notes)
    if tools and name not in tools:
        notes.oddities.append("calls of tools that the row does not define")
    return call.get("id"), Message("assistant", raw, "commentary", SPACE + name, JSON)


def harmony_call(message: Message, tools: Tools, notes: RowNotes) -> Message:
    """A call that is a harmony message already, with its name and arguments checked.

    Other recipients than functions (python, browser) take text of their own kind.
    """
    recipient = message.recipient or ""
    if not recipient.startswith(SPACE):
        return message
    name = recipient.removeprefix(SPACE)
    _, call = call_of({"name": name, "arguments": message.content}, tools, notes)
    kind = message.content_type
    return Message("assistant", call.content, message.channel, call.recipient, kind)


def bare_name(name: Any, notes: RowNotes) -> str:
    """`f` of `f`, `functions.f` or `functions.functions.f`. Raises InputError for no name."""
    if not isinstance(name, str) or not name.strip():
        raise InputError("a tool call without a name")
    bare = name.strip()
    while bare.startswith(SPACE):
        bare = bare.removeprefix(SPACE)
    if not NAME.fullmatch(bare):
        raise InputError(f"tool name {name!r:.60}: a name has no spaces, <, > or |")
    if bare != name:
        notes.repairs.append("tool names without functions. and spaces")
    return bare


def tool_of(one: Any, notes: RowNotes) -> ToolSpec:
    """A tool's definition, in OpenAI's, Anthropic's or MCP's form. Raises InputError."""
    function = one.get("function", one) if isinstance(one, dict) else None
    if not isinstance(function, dict) or is_empty(function.get("name")):
        raise InputError("a tool without a name")
    name = bare_name(function["name"], notes)
    schema: Any = next((function[key] for key in SCHEMAS if present(function.get(key))), {})
    if isinstance(schema, str):
        schema = json_of(schema, f"the parameters of {name}")
    if not isinstance(schema, dict):
        raise InputError(f"the parameters of {name} are no JSON schema")
    about = present(function.get("description"))
    if about is not None and not isinstance(about, str):
        raise InputError(f"the description of {name} is no text")
    return ToolSpec(name, about or "", without_null_keywords(schema, notes))


def without_null_keywords(schema: dict[str, Any], notes: RowNotes) -> dict[str, Any]:
    """The schema without the nulls that Arrow puts where another row's tool has a field."""
    if not _has_null_keyword(schema):
        return schema
    notes.repairs.append("nulls left out of tool definitions")
    cleared: dict[str, Any] = _without_nulls(schema)
    return cleared


def _has_null_keyword(schema: Any) -> bool:
    """True where a keyword is null that never is in a schema by hand."""
    if isinstance(schema, list):
        return any(map(_has_null_keyword, schema))
    if not isinstance(schema, dict):
        return False
    inner = [value for name, value in schema.items() if name not in LITERAL]
    return any(present(value) is None or _has_null_keyword(value) for value in inner)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if present(one) is not None}
        return {name: _without_nulls(one) for name, one in kept.items()}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _arguments(given: Any, name: str, tool: ToolSpec | None, notes: RowNotes) -> str:
    """The arguments as JSON text. A text stays as it is where it is an object."""
    value = present(given)
    if isinstance(value, str) and value.strip():
        parsed = json_of(value, f"the arguments of {name}")
        if isinstance(parsed, str):
            parsed = json_of(parsed, f"the arguments of {name}")
            notes.repairs.append("arguments in JSON within JSON unwrapped")
            value = parsed
        elif isinstance(parsed, dict):
            return _finite(value, parsed, name)
        else:
            value = parsed
    if value is None or value == "":
        if tool is None or _required(tool.parameters):
            raise InputError(f"the call of {name} has no arguments; give a JSON object")
        notes.repairs.append("absent arguments became {}")
        value = {}
    if not isinstance(value, dict):
        raise InputError(f"the arguments of {name} are no JSON object but {type(value).__name__}")
    cleared = _cleared(value, tool, notes)
    return _finite(json.dumps(cleared, ensure_ascii=False, default=_plain), cleared, name)


def _plain(value: Any) -> Any:
    """For JSON: a number of numpy's, a date. Raises InputError for other things."""
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise InputError(f"arguments with a {type(value).__name__}, which is no JSON")


def _finite(text: str, value: Any, name: str) -> str:
    """The text. Raises InputError where the value has NaN or Infinity, which JSON has not."""
    try:
        json.dumps(value, allow_nan=False, default=_plain)
    except ValueError as error:
        raise InputError(f"the arguments of {name} have NaN or Infinity, no JSON") from error
    return text


def _required(schema: Mapping[str, Any]) -> list[str]:
    """The names that must be given; none where the schema has no list of them."""
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _cleared(value: dict[str, Any], tool: ToolSpec | None, notes: RowNotes) -> dict[str, Any]:
    """Arguments as objects without Arrow's nulls; whole numbers where integers are declared."""
    schema = tool.parameters if tool else {}
    properties = schema.get("properties") or {}
    kept: dict[str, Any] = {}
    for name, one in value.items():
        declared = properties.get(name) if isinstance(properties, dict) else None
        if present(one) is None and not _must_be_null(name, declared, schema):
            notes.repairs.append("nulls left out of arguments")
        elif isinstance(one, float) and one.is_integer() and _kinds(declared) == {"integer"}:
            notes.repairs.append("whole numbers written as integers, as declared")
            kept[name] = int(one)
        elif isinstance(one, dict):
            inner = ToolSpec(name, "", declared if isinstance(declared, dict) else {})
            kept[name] = _cleared(one, inner, notes)
        else:
            kept[name] = present(one)
    return kept


def _must_be_null(name: str, declared: Any, schema: Mapping[str, Any]) -> bool:
    """True where a null says something: the argument is required and may be null."""
    return name in _required(schema) and "null" in _kinds(declared)


def _kinds(declared: Any) -> set[str]:
    """The types that a property's schema names."""
    if not isinstance(declared, dict):
        return set()
    kind = declared.get("type")
    several = kind if isinstance(kind, list) else [kind]
    kinds = {one for one in several if isinstance(one, str)}
    if declared.get("nullable"):
        kinds.add("null")
    choices = declared.get("anyOf")
    for choice in choices if isinstance(choices, list) else ():
        kinds |= _kinds(choice)
    return kinds
