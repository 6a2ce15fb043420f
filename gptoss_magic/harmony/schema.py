"""JSON schemas as the TypeScript-like types of harmony's tool definitions.

Token for token what openai-harmony 0.0.8 writes, quirks included, since gpt-oss was trained on it:
a nested object's description stands twice, an array of `A | B` has no brackets. Where it writes
`any` or leaves something out, TypeScript says what it can: `anyOf`, values of an enum without a
type, tuples, objects with any keys. Every value is written, a schema or not: what says nothing is
`any`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.records import ToolSpec

    Default = Callable[[Mapping[str, Any]], str]

STEP = "    "
SIMPLE = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}


def definition(tool: ToolSpec) -> str:
    """One tool as a type in the `functions` namespace, with a blank line behind it."""
    about = "".join(f"// {line}\n" for line in tool.description.splitlines())
    if not tool.parameters:
        return f"{about}type {tool.name} = () => any;\n\n"
    return f"{about}type {tool.name} = (_: {type_of(tool.parameters)}) => any;\n\n"


def type_of(schema: Any, indent: str = "") -> str:
    """The type that `schema` describes; nested lines begin with `indent`."""
    if not isinstance(schema, Mapping):
        return "any"
    if "oneOf" in schema:
        return _union(_list(schema, "oneOf"), indent, _quoted_default)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join("number" if one == "integer" else str(one) for one in kind)
    if kind in ("object", "array"):
        return _object(schema, indent) if kind == "object" else _array(schema, indent)
    if kind == "string" and _list(schema, "enum"):
        return " | ".join(f'"{value}"' for value in schema["enum"] if isinstance(value, str))
    return SIMPLE.get(kind, "any") if isinstance(kind, str) else _untyped(schema, indent)


def _untyped(schema: Mapping[str, Any], indent: str) -> str:
    """A type where the schema names none: its values or alternatives, or the form it has."""
    if "const" in schema:
        return _quoted(schema["const"])
    if values := _list(schema, "enum"):
        return " | ".join(map(_quoted, values))
    if "anyOf" in schema:
        return _alternatives(_list(schema, "anyOf"), indent)
    if isinstance(schema.get("properties"), Mapping):
        return _object(schema, indent)
    return _array(schema, indent) if "items" in schema or "prefixItems" in schema else "any"


def _alternatives(variants: list[Any], indent: str) -> str:
    """Short ones in one line, else a line each, as `oneOf` has them."""
    types = [_nullable(variant, indent) for variant in variants]
    is_short = not any("\n" in one for one in types)
    if is_short and not any(_text(variant, "description") for variant in variants):
        return " | ".join(dict.fromkeys(types)) or "any"
    return _union(variants, indent, _quoted_default)


def _array(schema: Mapping[str, Any], indent: str) -> str:
    leading, items = _list(schema, "prefixItems"), schema.get("items")
    if not leading and isinstance(items, list):
        leading, items = items, schema.get("additionalItems")
    if leading:
        types = [_nullable(one, indent) for one in leading]
        types += [f"...{_items(items, indent)}"] if isinstance(items, Mapping) else []
        return f"[{', '.join(types)}]"
    return _items(items, indent) if "items" in schema else "Array<any>"


def _items(items: Any, indent: str) -> str:
    written = type_of(items, indent)
    is_typed = not isinstance(items, Mapping) or "oneOf" in items or "type" in items
    return f"{written}[]" if is_typed or "|" not in written else f"({written})[]"


def _object(schema: Mapping[str, Any], indent: str) -> str:
    about = "".join(f"{indent}// {line}\n" for line in _text(schema, "description"))
    required, fields = _list(schema, "required"), schema.get("properties")
    fields = fields if isinstance(fields, Mapping) else {}
    lines = "".join(_field(name, inner, name in required, indent) for name, inner in fields.items())
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping):
        lines += f"{indent}[key: string]: {_nullable(others, indent + STEP)},\n"
    return f"{about}{{\n{lines}{indent}}}"


def _field(name: str, schema: Any, is_required: bool, indent: str) -> str:  # noqa: FBT001
    schema = schema if isinstance(schema, Mapping) else {}
    shown = name if name and name == one_line(name) else json.dumps(name)  # a line break ends it
    head = _comments(schema, indent) + f"{indent}{shown}{'' if is_required else '?'}:"
    if "oneOf" in schema:
        return f"{head}{_union(_list(schema, 'oneOf'), indent, _default)}\n{indent},\n"
    note = f" // default: {_default(schema)}" if "default" in schema else ""
    if "anyOf" in schema and "type" not in schema:
        written = _alternatives(_list(schema, "anyOf"), indent)
        if "\n" in written:
            return f"{head}{written}\n{indent},{note}\n"
    return f"{head} {_nullable(schema, indent + STEP)},{note}\n"


def _union(variants: list[Any], indent: str, default: Default) -> str:
    return "".join(f"\n{indent} | {_variant(v, indent + '   ', default)}" for v in variants)


def _variant(schema: Any, indent: str, default: Default) -> str:
    notes = _text(schema, "description")
    if isinstance(schema, Mapping) and "default" in schema:
        notes.append(f"default: {default(schema)}")
    return _nullable(schema, indent) + (f" // {' '.join(notes)}" if notes else "")


def _nullable(schema: Any, indent: str) -> str:
    written = type_of(schema, indent)
    is_nullable = isinstance(schema, Mapping) and schema.get("nullable")
    return f"{written} | null" if is_nullable and "null" not in written else written


def _comments(schema: Mapping[str, Any], indent: str) -> str:
    about = _text(schema, "description")
    examples = [f"- {_quoted(value)}" for value in _list(schema, "examples")]
    examples = ["Examples:", *examples] if examples else []
    title = _text(schema, "title")
    lines = [*title, ""] if title else []
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
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return list(value) if isinstance(value, (list, tuple)) else []


def _text(schema: Any, key: str) -> list[str]:
    """The text of a keyword, or nothing."""
    value = schema.get(key) if isinstance(schema, Mapping) else None
    return [value] if isinstance(value, str) else []
