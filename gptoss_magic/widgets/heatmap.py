"""Layers × experts as a heat map that needs no script, no style sheet and no kernel.

Each cell is two or three characters of a `<pre>` with a background and a `title`: JupyterLab takes
SVG and style sheets out of untrusted notebooks, but leaves these. Text and colours read well on
white and on black. Legend: L layers, E experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from gptoss_magic.widgets.styles import MUTED, SCROLL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLUE, RED = "39f", "f54"
STEPS = 15
GRID = (
    "line-height: 1.25; overflow-x: auto; white-space: pre; margin: 4px 0; padding: 0; "
    "font-family: var(--jp-code-font-family, monospace); font-size: 12px; background: none"
)
SHADES = "forced-color-adjust: none"  # shades are all there is; their cells have no text
WIDE = 64  # experts from which a cell is one character wide


@dataclass(frozen=True)
class Panel:
    """One map. `values` [L][E] are shown between −`top` and `top`, or 0 and it; all in [−1, 1].

    Negative ones are red. `hovers` [L][E] stand in the titles behind `layer:expert`, `notes` [L]
    at the ends of the rows. Neighbours whose size is below `floor` share one empty cell.
    """

    title: str
    values: Sequence[Sequence[float]]
    hovers: Sequence[Sequence[str]]
    notes: Sequence[str]
    top: float
    unit: str = "share of a layer's routes"
    floor: float = 0.0


def heat_map_html(panel: Panel) -> str:
    """The map under its title and scale; a narrow page scrolls it."""
    rows = "\n".join(_row(panel, layer) for layer in range(len(panel.values)))
    head = f"<div><b>{escape(panel.title)}</b> {_scale(panel)}</div>"
    grid = GRID.replace("12px", "11px") if _width(panel) == 1 else GRID
    return (
        f'{head}<pre class="gptoss-heat" tabindex="0" style="{grid}">{_axis(panel)}\n{rows}</pre>'
    )


def folded(summary: str, inner: str, *, is_open: bool = False) -> str:
    """A `<details>` that opens without a script."""
    state = " open" if is_open else ""
    head = f'<summary style="cursor: pointer">{escape(summary)}</summary>'
    return f"<details{state}>{head}{inner}</details>"


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table of text; a narrow page scrolls it."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div {SCROLL} aria-label="Table">{table}</div>'


def table_text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same in columns of text."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join(lines)


def _width(panel: Panel) -> int:
    experts = len(panel.values[0])
    return 1 if experts >= WIDE else 2 if experts > 8 else 4


def _axis(panel: Panel) -> str:
    """Numbers of experts over the columns, as many as there is room for."""
    experts, width = len(panel.values[0]), _width(panel)
    every = {1: 8, 2: 4, 4: 1}[width]
    marks = [str(e).ljust(width * every) for e in range(0, experts, every)]
    return f"      {''.join(marks)[: experts * width]}".rstrip()


def _row(panel: Panel, layer: int) -> str:
    width = _width(panel)
    cells = (_cell(panel, layer, run, width) for run in _runs(panel, layer))
    shades = f'<span style="{SHADES}">{"".join(cells)}</span>'
    return f"{layer:>4}  {shades}  {escape(panel.notes[layer])}".rstrip()


def _runs(panel: Panel, layer: int) -> Iterator[range]:
    """Experts of one cell: one, or neighbours that are all below the floor."""
    values = panel.values[layer]
    low = [abs(value) < panel.floor for value in values]
    for is_low, group in groupby(range(len(values)), key=low.__getitem__):
        experts = list(group)
        if is_low:
            yield range(experts[0], experts[-1] + 1)
        else:
            yield from (range(e, e + 1) for e in experts)


def _cell(panel: Panel, layer: int, run: range, width: int) -> str:
    space, first = " " * (width * len(run)), run[0]
    if abs(panel.values[layer][first]) < panel.floor:
        return space
    hover = f"{layer}:{first} {panel.hovers[layer][first]}"
    shade = colour(panel.values[layer][first], panel.top)
    style = f' style="background:{shade}"' if shade else ""
    return f'<b title="{escape(hover)}"{style}>{space}</b>'


def colour(value: float, top: float) -> str:
    """`#rgba` of a value: blue or, below 0, red; the nearer to 0 the more transparent.

    By the square root, so that small shares can be told apart.
    """
    level = min(round(STEPS * (abs(value) / top) ** 0.5), STEPS) if top > 0 else 0
    return f"#{RED if value < 0 else BLUE}{level:x}" if level else ""


def _shade(value: float, top: float) -> str:
    shade = colour(value, top) or "none"
    return f'<code style="white-space: pre; {SHADES}; background: {shade}">  </code>'


def _scale(panel: Panel) -> str:
    """Shades from the least to the most, with what some of them mean."""
    signed = any(value < 0 for row in panel.values for value in row)
    steps = range(-4, 5) if signed else range(9)
    values = [panel.top * (s / steps[-1]) ** 2 * (-1 if s < 0 else 1) for s in steps]
    shades = [_shade(value, panel.top) for value in values]
    least, middle, most = (f"{100 * values[i]:.1f} %" for i in (0, 4, 8))
    bars = "".join(shades[:5]), "".join(shades[5:])
    words = f"{least} {bars[0]} {middle} {bars[1]} {most} {panel.unit}"
    if panel.floor:
        words += f"; empty below {100 * panel.floor:.1f} %"
    return f'<span style="{MUTED}">{words}</span>'
