"""Figures as one table: on the terminal at the end of a run, and in README."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.figure import Figure

HEADER = ("name", "ratio", "ours", "peer", "unit", "what")


@dataclass(frozen=True)
class Outcome:
    """A figure, or why there is none."""

    name: str
    seconds: float
    figure: Figure | None = None
    failed: bool = False
    why: str = ""

    def cells(self) -> tuple[str, ...]:
        """One row below HEADER, a reason among the words."""
        if self.figure is None:
            how = "failed" if self.failed else "skipped"
            return (self.name, how, "", "", "", self.why)
        return cells(self.figure)


def cells(figure: Figure) -> tuple[str, ...]:
    """One row below HEADER."""
    numbers = (figure.ratio, figure.ours, figure.peer)
    return (figure.name, *map(short, numbers), figure.unit, figure.what)


def short(number: float) -> str:
    """Three digits, more where they stand before the point."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Columns for a terminal; the last is as wide as it is."""
    table = [HEADER, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(lines)


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """The same as Markdown."""
    rule = ("---", "--:", "--:", "--:", "---", "---")
    named = [(f"`{name}`", *rest) for name, *rest in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (HEADER, rule, *named))
