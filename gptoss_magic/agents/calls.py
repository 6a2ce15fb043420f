"""What the model called, made good where that is safe: names, arguments, results as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.tools import Tool, ToolResult
from gptoss_magic.quoting import harmless_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.records import ToolCall

CLOSE = 0.8
NOTHING = "(done; it gave no result)"


def found(name: str, tools: Mapping[str, Tool]) -> tuple[Tool | None, str]:
    """The tool that `name` means, and what was repaired, or else words for the model.

    A misspelt name is repaired where one tool alone is close to it.
    """
    if name in tools:
        return tools[name], ""
    close = _close(name, tools, CLOSE)
    if len(close) == 1:
        return tools[close[0]], f"{name}: taken as {close[0]}"
    near = close or _close(name, tools, 0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return None, f"there is no tool {name!r}; {hint}the tools are: {', '.join(tools)}"


def arguments_of(call: ToolCall, tool: Tool) -> tuple[dict[str, Any], str]:
    """The call's arguments, checked, and what was repaired. Raises ValueError for the model.

    Of a raw tool they are the text as it stands; a call that wraps it in JSON is understood.
    """
    if tool.is_raw:
        wrapped = call.arguments or {}
        is_wrapped = set(wrapped) == {"code"} and isinstance(wrapped["code"], str)
        return tool.check(wrapped if is_wrapped else {"code": call.raw}), ""
    if call.arguments is not None:
        return tool.check(call.arguments), ""
    given, note = _repaired(call.raw, tool)
    if given is None:
        names = ", ".join(_fields(tool.parameters)) or "none"
        raise ValueError(f"the arguments are no JSON object; give one with: {names}")
    return tool.check(given), note


def _repaired(raw: str, tool: Tool) -> tuple[dict[str, Any] | None, str]:
    """An object out of nearly JSON, or a bare text where the tool takes one text."""
    from json_repair import repair_json

    text = raw.strip()
    if not text:
        return {}, ""
    if re.match(r"(```\w*\s*)?[{]", text):
        made = repair_json(text, return_objects=True)
        return (
            (made, "its arguments were repaired") if isinstance(made, dict) and made else (None, "")
        )
    fields = _fields(tool.parameters)
    wanted = [name for name in tool.parameters.get("required") or () if name in fields]
    if len(wanted) == 1 and fields[wanted[0]].get("type") == "string":
        return {wanted[0]: _bare(raw)}, f"its text was taken as {wanted[0]}"
    return None, ""


def _fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by name, those of each alternative too; a field of any value is {}."""
    named = [parameters, *(parameters.get("anyOf") or ()), *(parameters.get("oneOf") or ())]
    fields: dict[str, Any] = {}
    for one in named:
        inner = one.get("properties") if isinstance(one, dict) else None
        for name, field in (inner if isinstance(inner, dict) else {}).items():
            fields.setdefault(name, field if isinstance(field, dict) else {})
    return fields


def _bare(raw: str) -> str:
    """A text as it stands, without the quotes of JSON."""
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    return value if isinstance(value, str) else raw


def result_of(value: Any, limit: int) -> tuple[ToolResult, str]:
    """What a tool gave, as text that is safe to quote and at most `limit` characters; a note."""
    given = (
        value
        if isinstance(value, ToolResult)
        else ToolResult(harmless_lines(as_text(value)).strip("\n"))
    )
    if given.page is not None:
        return given, ""  # a window of a page, harmless and bounded by its tokens
    if not given.text.strip():
        return replace(given, text=NOTHING), ""
    if len(given.text) <= limit:
        return given, ""
    note = f"cut: {limit:,} of {len(given.text):,} characters"
    text = f"{given.text[:limit]}\n[{note}]"
    return replace(given, text=text), note


def as_text(value: Any) -> str:
    """A string as it is, plain values as JSON, anything else as it prints itself."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list, tuple, int, float, bool)):
        try:
            return json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, TypeError, RecursionError):
            return str(value)
    return str(value)


def _close(name: str, tools: Mapping[str, Tool], cutoff: float) -> list[str]:
    """The tools whose names have nearly the same letters and digits."""
    plain = {known: _letters(known) for known in tools}
    letters = get_close_matches(_letters(name), plain.values(), 3, cutoff)
    return [known for known in tools if plain[known] in letters]


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.removeprefix("functions.")).lower()
