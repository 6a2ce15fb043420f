"""A figure and how it is measured: interleaved repeats, medians."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Figure:
    """`ratio` above 1: ours is better. `what` says in words what was compared."""

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    what: str

    def line(self) -> str:
        """One JSON line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def compared(
    name: str, unit: str, ours: float, peer: float, what: str, *, less_is_better: bool
) -> Figure:
    """A figure with its ratio, turned so that above 1 is better for us."""
    ratio = peer / ours if less_is_better else ours / peer
    return Figure(name, round(ours, 4), round(peer, 4), unit, round(ratio, 4), what)


def interleaved(
    ours: Callable[[], float], peer: Callable[[], float], repeats: int
) -> tuple[float, float]:
    """Medians of `repeats` pairs; the order within a pair alternates, one pair warms up."""
    ours(), peer()
    pairs = []
    for number in range(repeats):
        if number % 2:
            second, first = peer(), ours()
        else:
            first, second = ours(), peer()
        pairs.append((first, second))
    return median(a for a, _ in pairs), median(b for _, b in pairs)
