"""What code of a call had to show, as static HTML: its figures, and the rows of a frame."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.vocabulary import counted
from gptoss_magic.widgets.styles import EDGE, SCROLL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records import CodeRun, FrameHead

CELL = f"padding: 2px 10px; border-bottom: {EDGE}; text-align: left; white-space: nowrap"
PICTURE = "display: block; max-width: 100%; margin: 6px 0; background: white"  # as it is drawn for


def shown_html(run: CodeRun) -> Iterator[str]:
    """Figures within the page, so that nothing is fetched; rows of a frame as a table."""
    for number, png in enumerate(run.figures, 1):
        words = f"Figure {number} of {len(run.figures)}, drawn by the code of this call"
        source = f"data:image/png;base64,{escape(png)}"
        yield f'<img alt="{words}" src="{source}" style="{PICTURE}">'
    yield from map(_frame_html, run.frames)


def shown_text(run: CodeRun) -> Iterator[str]:
    """What stands for them where there is text alone; a frame's rows are in the output."""
    yield from (f"[figure {number}]" for number, _ in enumerate(run.figures, 1))


def frame_size(frame: FrameHead) -> str:
    """How many rows and columns there are; those shown may be fewer."""
    rows, columns = frame.size
    return f"{counted(rows, 'row')} × {counted(columns, 'column')}"


def _frame_html(frame: FrameHead) -> str:
    heads = "".join(_cell("th" if name else "td", name) for name in frame.columns)
    rows = "".join(f"<tr>{''.join(_cell('td', text) for text in row)}</tr>" for row in frame.rows)
    return (
        f'<div {SCROLL} aria-label="Rows of a data frame">'
        '<table style="border-collapse: collapse; margin: 6px 0">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<div>{frame_size(frame)}</div>"
    )


def _cell(tag: str, text: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} style="{CELL}">{escape(text)}</{tag}>'
