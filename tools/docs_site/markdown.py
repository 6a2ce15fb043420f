"""Markdown of what the code says of itself: prose, cells of tables, signatures."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CODE = re.compile(r"(`+[^`]*`+)")
SIGNS = re.compile(r"([\\*_\[\]|])")
WIDTH = 88


def prose(text: str) -> str:
    """A docstring as Markdown: what stands between backticks is code, nothing else is HTML."""
    parts = CODE.split(text)
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)


def plain(text: str) -> str:
    """Text in which no sign means anything to Markdown or HTML, on one line."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return " ".join(SIGNS.sub(r"\\\1", escaped).split())


def code(text: Any) -> str:
    """`text` as code in a cell of a table; '' stays empty."""
    words = str(text).replace("|", "\\|")
    return f"`{words}`" if words else ""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown cells."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown_default(value: Any) -> str:
    """A default value as code; functions by their names, since an address says nothing."""
    if value is inspect.Parameter.empty:
        return ""
    if callable(value):
        name = getattr(value, "__name__", "…")
        return "…" if name.startswith(("<", "_")) else name
    written = repr(value)
    return "…" if " at 0x" in written else written


def signature(name: str, function: Any) -> str:
    """`name(…) -> …` as it stands in the source, a parameter a line where it is long."""
    found = inspect.signature(function)
    parts = [_parameter(one) for one in _with_marks(found)]
    gives = _annotation(found.return_annotation)
    end = f" -> {gives}" if gives else ""
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def _with_marks(found: inspect.Signature) -> list[inspect.Parameter | str]:
    """The parameters but `self`, with `/` and `*` where they stand."""
    listed: list[inspect.Parameter | str] = []
    parameters = [one for one in found.parameters.values() if one.name not in ("self", "cls")]
    for place, one in enumerate(parameters):
        before = parameters[place - 1] if place else None
        if before and before.kind is one.POSITIONAL_ONLY and one.kind is not one.POSITIONAL_ONLY:
            listed.append("/")
        is_first_keyword = one.kind is one.KEYWORD_ONLY and (
            before is None or before.kind not in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        )
        if is_first_keyword:
            listed.append("*")
        listed.append(one)
    if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        listed.append("/")
    return listed


def _parameter(one: inspect.Parameter | str) -> str:
    if isinstance(one, str):
        return one
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    kind, default = _annotation(one.annotation), shown_default(one.default)
    typed = f"{stars}{one.name}: {kind}" if kind else f"{stars}{one.name}"
    if not default:
        return typed
    return f"{typed} = {default}" if kind else f"{typed}={default}"


def _annotation(kind: Any) -> str:
    if kind is inspect.Signature.empty:
        return ""
    if isinstance(kind, str):
        return kind
    return getattr(kind, "__name__", None) or str(kind)
