"""JSON schemas as the TypeScript-like types of harmony's tool definitions.

Token for token what openai-harmony 0.0.8 writes, quirks included, since gpt-oss was trained on it:
a nested object's description stands twice, `anyOf` is `any`, enums are of strings only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.records import ToolSpec

    Default = Callable[[Mapping[str, Any]], str]

STEP = "    "


def definition(tool: ToolSpec) -> str:
    """One tool as a type in the `functions` namespace, with a blank line behind it."""
    about = "".join(f"// {line}\n" for line in tool.description.splitlines())
    if not tool.parameters:
        return f"{about}type {tool.name} = () => any;\n\n"
    return f"{about}type {tool.name} = (_: {type_of(tool.parameters)}) => any;\n\n"


def type_of(schema: Mapping[str, Any], indent: str = "") -> str:
    """The type that `schema` describes; nested lines begin with `indent`."""
    if "oneOf" in schema:
        return _union(schema["oneOf"], indent, _quoted_default)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join("number" if one == "integer" else one for one in kind)
    if kind == "object":
        return _object(schema, indent)
    if kind == "array":
        return f"{type_of(schema['items'], indent)}[]" if "items" in schema else "Array<any>"
    if kind == "string" and schema.get("enum"):
        return " | ".join(f'"{value}"' for value in schema["enum"] if isinstance(value, str))
    return {"integer": "number"}.get(kind, kind) if kind in SIMPLE else "any"  # type: ignore[arg-type, return-value]


SIMPLE = ("string", "number", "integer", "boolean")


def _object(schema: Mapping[str, Any], indent: str) -> str:
    about = f"{indent}// {schema['description']}\n" if "description" in schema else ""
    required = schema.get("required", ())
    fields = schema.get("properties", {}).items()
    lines = "".join(_field(name, inner, name in required, indent) for name, inner in fields)
    return f"{about}{{\n{lines}{indent}}}"


def _field(name: str, schema: Mapping[str, Any], is_required: bool, indent: str) -> str:  # noqa: FBT001
    head = _comments(schema, indent) + f"{indent}{name}{'' if is_required else '?'}:"
    if "oneOf" in schema:
        return f"{head}{_union(schema['oneOf'], indent, _default)}\n{indent},\n"
    written = _nullable(schema, indent + STEP)
    note = f" // default: {_default(schema)}" if "default" in schema else ""
    return f"{head} {written},{note}\n"


def _union(variants: list[Mapping[str, Any]], indent: str, default: Default) -> str:
    return "".join(f"\n{indent} | {_variant(v, indent + '   ', default)}" for v in variants)


def _variant(schema: Mapping[str, Any], indent: str, default: Default) -> str:
    notes = [schema["description"]] if "description" in schema else []
    if "default" in schema:
        notes.append(f"default: {default(schema)}")
    return _nullable(schema, indent) + (f" // {' '.join(notes)}" if notes else "")


def _nullable(schema: Mapping[str, Any], indent: str) -> str:
    written = type_of(schema, indent)
    return f"{written} | null" if schema.get("nullable") and "null" not in written else written


def _comments(schema: Mapping[str, Any], indent: str) -> str:
    about = [schema["description"]] if "description" in schema else []
    examples = [f"- {_quoted(value)}" for value in schema.get("examples", ())]
    examples = ["Examples:", *examples] if examples else []
    lines = [schema["title"], ""] if "title" in schema else []
    lines += examples + about if "oneOf" in schema else about + examples
    if "oneOf" in schema and "default" in schema:
        lines.append(f"default: {_default(schema)}")
    return "".join(f"{indent}// {line}".rstrip(" ") + "\n" for line in lines)


def _default(schema: Mapping[str, Any]) -> str:
    value = schema["default"]
    return str(value) if isinstance(value, str) and schema.get("enum") else _quoted(value)


def _quoted_default(schema: Mapping[str, Any]) -> str:
    return _quoted(schema["default"])


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
