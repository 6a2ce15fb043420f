"""The endpoint's requests as static HTML: a row each, which opens to the transcript."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.quoting import in_width
from gptoss_magic.widgets.static_html import transcript_html, transcript_text
from gptoss_magic.widgets.styles import EDGE, MUTED, SCROLL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records.served import ServedRow

WIDTH = 60
COLUMNS = "5.5em 7em minmax(6em, 1fr) minmax(8em, 3fr) 6.5em 8em"
GRID = (
    f"display: inline-grid; grid-template-columns: {COLUMNS}; gap: 8px; width: calc(100% - 1.5em)"
)
HEADERS = ("came", "route", "model", "asked", "state", "tokens")
CELL = "overflow: hidden; text-overflow: ellipsis; white-space: nowrap"
COLOURS = {
    "answering": "var(--jp-brand-color1, #1976d2)",
    "failed": "var(--jp-error-color1, #c62828)",
}


def served_html(where: str, rows: Sequence[ServedRow]) -> str:
    """All of it, the newest first; `where` says what serves."""
    head = _line(HEADERS, f"font-weight: 600; padding-left: 1.1em; border-bottom: {EDGE}")
    inner = "".join(map(_row, rows)) or f'<div style="{MUTED}">no request yet</div>'
    return (
        f'<div class="gptoss-served" {SCROLL}><div style="min-width: 640px">'
        f'<div style="{MUTED}; margin: 4px 0">{escape(where)}</div>{head}{inner}</div></div>'
    )


def _line(cells: Sequence[str], style: str = "") -> str:
    said = "".join(f'<span dir="auto" style="{CELL}">{cell}</span>' for cell in cells)
    return f'<div style="{GRID}; {style}">{said}</div>'


def _row(row: ServedRow) -> str:
    colour = COLOURS.get(row.state)
    state = f'<span style="color: {colour}">{escape(row.state)}</span>' if colour else row.state
    cells = (
        escape(row.clock),
        escape(row.route),
        escape(row.model),
        escape(in_width(row.asked, WIDTH)),
        state,
        escape(tokens_words(row)),
    )
    summary = f'<summary style="cursor: pointer; padding: 2px 0">{_line(cells)}</summary>'
    return f'<details style="border-bottom: {EDGE}">{summary}{_inner(row)}</details>'


def _inner(row: ServedRow) -> str:
    parts = [f'<div style="{MUTED}">{escape(row.id)}{escape(repairs_words(row))}</div>']
    if row.asked:
        parts.append(f'<div dir="auto" style="white-space: pre-wrap">{escape(row.asked)}</div>')
    if row.fault:
        parts.append(f"<div>{escape(row.fault)}</div>")
    if row.transcript is not None:
        parts.append(transcript_html(row.transcript))
    return f'<div style="padding: 4px 0 8px 1.1em">{"".join(parts)}</div>'


def served_text(where: str, rows: Sequence[ServedRow]) -> str:
    """The same as text."""
    lines = [where, *map(_text, rows)] if rows else [where, "no request yet"]
    return "\n".join(lines)


def _text(row: ServedRow) -> str:
    asked = in_width(row.asked, WIDTH)
    words = (row.clock, row.route, row.model, row.state, tokens_words(row), row.id, asked)
    line = "  ".join(filter(None, words))
    more = row.fault or (transcript_text(row.transcript) if row.transcript else "")
    return f"{line}\n    {more}".replace("\n", "\n    ").rstrip() if more else line


def tokens_words(row: ServedRow) -> str:
    """Tokens, and how fast they came."""
    speed = f" · {row.tokens_per_s:.0f}/s" if row.tokens_per_s else ""
    return f"{row.num_tokens}{speed}"


def repairs_words(row: ServedRow) -> str:
    """How many malformed headers were read."""
    return f" · {row.num_repairs} headers repaired" if row.num_repairs else ""
