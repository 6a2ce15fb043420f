"""Static HTML and text that magics show: tables, a training example, answers side by side.

What is given is text of models and files: everything is escaped. No script, no style sheet.
"""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from gptoss_magic.widgets.static_html import transcript_html, transcript_text
from gptoss_magic.widgets.styles import EDGE, MUTED, SCROLL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records import Transcript

    Cell = str | int | float | None

NUMBER = re.compile(
    r"[+−-]?[\d,]*\.?\d+(e[+-]?\d+)?([ ]?(%|[a-zA-Zµ/]{1,10})|[ ]of[ ][\d,]+)?", re.ASCII
)
ABOVE = "margin-top: 8px"
TRAINED = (
    "background: rgba(46, 139, 87, 0.22); text-decoration: underline; text-underline-offset: 3px"
)
EXAMPLE = (
    f"border: {EDGE}; border-radius: 4px; padding: 8px 12px; margin: 6px 0; white-space: pre-wrap; "
    "overflow-x: auto; overflow-wrap: anywhere; "
    "font-family: var(--jp-code-font-family, monospace); "
    "font-size: var(--jp-code-font-size, 13px)"
)
COLUMN = f"min-width: 0; border-top: {EDGE}; padding-top: 6px"
GRID = "display: grid; grid-template-columns: repeat(auto-fit, minmax(min(240px, 100%), 1fr))"
SHORT = 24  # characters of a cell that is never broken
CELL = f"padding: 3px 10px; border-bottom: {EDGE}; vertical-align: top"


def table_html(headers: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str = "") -> str:
    """A table that scrolls in a narrow window; numbers stand to the right."""
    sides = _sides(headers, rows)
    title = (
        f'<caption style="{MUTED}; text-align: left">{escape(caption)}</caption>' if caption else ""
    )
    return (
        f'<div {SCROLL} aria-label="Table">'
        '<table class="gptoss-table" style="border-collapse: collapse; margin: 6px 0">'
        f"{title}<thead><tr>{_cells('th', headers, sides)}</tr></thead><tbody>"
        + "".join(f"<tr>{_cells('td', map(cell_text, row), sides)}</tr>" for row in rows)
        + "</tbody></table></div>"
    )


def table_text(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """The same in columns of text, without a trailing line break."""
    lines = [[cell_text(cell).replace("\n", " ") for cell in row] for row in (headers, *rows)]
    sides = _sides(headers, rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if side == "right" else cell.ljust(width)
            for cell, width, side in zip(line, widths, sides, strict=True)
        ).rstrip()
        for line in lines
    )


def memory_html(title: str, rows: Sequence[tuple[str, int]], foot: str = "") -> str:
    """A memory plan: bytes by what needs them, shown in GB (10^9), with a line above and below."""
    table = table_html(("memory", "GB"), [(name, f"{value / 1e9:.2f}") for name, value in rows])
    line = f'<div style="{MUTED}">{escape(foot)}</div>' if foot else ""
    return f'<div class="gptoss-plan" style="{ABOVE}">{escape(title)}{table}{line}</div>'


def cell_text(cell: Cell) -> str:
    """Whole numbers with commas, others with four digits, nothing for None."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def example_html(pieces: Sequence[tuple[str, bool]]) -> str:
    """One training text, piece by piece; what is trained (True) is underlined on green."""
    body = "".join(
        f'<u style="{TRAINED}">{escape(text)}</u>' if trained else escape(text)
        for text, trained in _runs(pieces)
    )
    legend = f'<div style="{MUTED}">{escape(_legend(pieces))}</div>'
    return (
        f'<div class="gptoss-example" style="{ABOVE}">{legend}'
        f'<div style="{EXAMPLE}">{body}</div></div>'
    )


def example_text(pieces: Sequence[tuple[str, bool]]) -> str:
    """The same with what is trained between ⟦ and ⟧."""
    marked = (f"⟦{text}⟧" if trained else text for text, trained in _runs(pieces))
    return _legend(pieces).replace("underlined", "between ⟦ ⟧") + "\n" + "".join(marked)


def side_by_side_html(
    prompt: str, answers: Mapping[str, Transcript], figures: Mapping[str, Mapping[str, str]]
) -> str:
    """Answers to one prompt by name, beside each other where there is room, figures below each."""
    columns = "".join(
        f'<div style="{COLUMN}"><strong>{escape(name)}</strong>{transcript_html(answer)}'
        f"{_figures(figures.get(name, {}))}</div>"
        for name, answer in answers.items()
    )
    return (
        f'<div class="gptoss-answers" style="{ABOVE}">'
        '<div style="white-space: pre-wrap; overflow-wrap: anywhere">'
        f'<span style="{MUTED}">Prompt</span> <span dir="auto">{escape(prompt)}</span></div>'
        f'<div style="{GRID}; gap: 8px 20px">{columns}</div></div>'
    )


def side_by_side_text(
    prompt: str, answers: Mapping[str, Transcript], figures: Mapping[str, Mapping[str, str]]
) -> str:
    """The same, one answer below the other."""
    parts = [f"Prompt: {prompt}"]
    for name, answer in answers.items():
        parts += [f"== {name}", transcript_text(answer), _figures_text(figures.get(name, {}))]
    return "\n\n".join(filter(None, parts))


def _sides(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """'right' for columns that hold numbers only, else 'left'."""
    sides = []
    for column in range(len(headers)):
        texts = [text for row in rows if (text := cell_text(row[column]))]
        numbers = bool(texts) and all(map(NUMBER.fullmatch, texts))
        sides.append("right" if numbers else "left")
    return sides


def _cells(tag: str, texts: Iterator[str] | Sequence[str], sides: Sequence[str]) -> str:
    return "".join(
        _cell(tag if text else "td", text, side) for text, side in zip(texts, sides, strict=True)
    )


def _cell(tag: str, text: str, side: str) -> str:
    """A header says of what; one without words is none."""
    scope = ' scope="col"' if tag == "th" else ""
    way = "" if text.isascii() else ' dir="auto"'
    edge = "start" if way and side == "left" else side
    style = f"text-align: {edge}; {CELL}; {_wrapped(text, side)}"
    return f'<{tag}{scope}{way} style="{style}">{escape(text)}</{tag}>'


def _wrapped(text: str, side: str) -> str:
    """Long texts break, a path too, and keep a width that can be read; a narrow window scrolls."""
    if side == "right" or (len(text) <= SHORT and "\n" not in text):
        return "white-space: nowrap"
    width = 14 if len(text) > 3 * SHORT else 8
    return f"white-space: pre-line; overflow-wrap: anywhere; min-width: {width}em"


def _runs(pieces: Sequence[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """Neighbours of one kind as one."""
    for trained, group in groupby(pieces, key=lambda piece: piece[1]):
        yield "".join(text for text, _ in group), trained


def _legend(pieces: Sequence[tuple[str, bool]]) -> str:
    count = sum(trained for _, trained in pieces)
    return f"One example: {count:,} of {len(pieces):,} pieces are trained (underlined)."


def _figures(figures: Mapping[str, str]) -> str:
    return f'<div style="{MUTED}">{escape(_figures_text(figures))}</div>' if figures else ""


def _figures_text(figures: Mapping[str, str]) -> str:
    return " · ".join(f"{label} {value}" for label, value in figures.items())
