"""A Python function as a tool definition: signature and docstring become a JSON schema."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import ToolSpec

JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}


def tool_spec(function: Any) -> ToolSpec:
    """Describe `function` for the model. Nothing is ever run by this."""
    if not callable(function):
        raise InputError(f"{function!r} is no function: give --tool the name of one")
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    fields = {p.name: _schema(hints.get(p.name, str)) for p in parameters}
    required = [p.name for p in parameters if p.default is p.empty]
    schema = {"type": "object", "properties": fields, "required": required} if fields else {}
    about = (inspect.getdoc(function) or "").split("\n\n")[0].strip()
    return ToolSpec(function.__name__, about, schema)


def _schema(hint: Any) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"type": "string", "enum": list(inner)}
    if origin in (typing.Union, types.UnionType):
        return _schema(next(kind for kind in inner if kind is not type(None)))
    if hint is list or origin is list:
        return {"type": "array", "items": _schema(inner[0] if inner else str)}
    name = JSON_TYPES.get(origin or hint)
    if name is None:
        raise InputError(f"type {hint!r}: tools take str, int, float, bool, list, dict or Literal")
    return {"type": name}
