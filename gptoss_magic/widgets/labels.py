"""Names beside marks of a picture, so that none lies on another or on a mark.

Each takes the first free place around its mark: close by, then further off, then with a thread.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1, downwards

TALL, WIDE, WIDER = 12.0, 6.6, 11.5  # of a letter at 11 pixels; of one of East Asia
MARK = 6.5  # half of a mark's side
NEAR = (9.0, 14.0)
FAR = (22.0, 32.0, 44.0, 58.0, 74.0, 92.0, 112.0, 134.0, 160.0)
FARTHER, ON_BOX, ON_LINE, ON_THREAD, THROUGH = 0.2, 40.0, 2.5, 20.0, 4.0  # what a place costs
ANGLES = (0, 180, 270, 90, 315, 45, 225, 135, 338, 22, 202, 158, 292, 248, 68, 112)


@dataclass(frozen=True)
class Label:
    """Where a name stands: the middle of its line, its base line, and its thread to the mark."""

    middle: float
    base: float
    thread: tuple[Point, Point] | None
    box: Box


def placed_labels(
    points: Sequence[Point], names: Sequence[str], area: Box, lines: Sequence[Box] = ()
) -> list[Label]:
    """A place for each name, those that come first choose first; all within `area` (x0, y0, x1,
    y1). Where nothing is free a name takes the place that hides least. `lines`, upright or level,
    are better not written on.
    """
    marks = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points]
    found: list[Label] = []
    for place, (point, name) in enumerate(zip(points, names, strict=True)):
        others = [*marks[:place], *marks[place + 1 :], *(label.box for label in found)]
        threads = [label.thread for label in found if label.thread]
        taken = _Taken(area, others, threads, lines)
        found.append(_best(point, _width(name), taken))
    return found


@dataclass(frozen=True)
class _Taken:
    """What a label has to keep clear of."""

    area: Box
    boxes: Sequence[Box]
    threads: Sequence[tuple[Point, Point]]
    lines: Sequence[Box]

    def hidden(self, label: Label) -> float:
        """What a label would hide, or hide behind: square pixels, and what lines count for."""
        hidden = sum(_overlap(label.box, box) for box in self.boxes) + _outside(
            label.box, self.area
        )
        hidden += sum(ON_LINE for line in self.lines if _meets(line, label.box))
        hidden += sum(ON_THREAD for thread in self.threads if _cuts(thread, label.box))
        if label.thread:
            hidden += sum(THROUGH for box in self.boxes if _cuts(label.thread, box))
        return hidden


def _best(point: Point, width: float, taken: _Taken) -> Label:
    """The place that costs least; the first that costs nothing."""
    best, least = Label(*point, None, (*point, *point)), math.inf
    for number, label in enumerate(_candidates(point, width)):
        hidden = taken.hidden(label)
        if hidden + FARTHER * number < least:
            best, least = label, hidden + FARTHER * number
        if not hidden or FARTHER * number > least:
            break
    return best


def _candidates(point: Point, width: float) -> Iterator[Label]:
    for distance in (*NEAR, *FAR):
        for angle in ANGLES:
            across, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            x = point[0] + across * (distance + width / 2)
            y = point[1] + down * (distance + (TALL / 2 if abs(down) > abs(across) else 0))
            box = (x - width / 2, y - TALL / 2, x + width / 2, y + TALL / 2)
            thread = None
            if distance > NEAR[-1]:
                end = (min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3]))
                thread = (point, end)
            yield Label(x, y + TALL / 3, thread, box)


def _width(name: str) -> float:
    return sum(WIDER if unicodedata.east_asian_width(one) in "WF" else WIDE for one in name)


def _overlap(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0


def _meets(line: Box, box: Box) -> bool:
    """Whether an upright or level line touches a box."""
    return line[0] < box[2] and line[2] > box[0] and line[1] < box[3] and line[3] > box[1]


def _outside(box: Box, area: Box) -> float:
    """As much of a box as lies outside, and more: it would be cut off."""
    inside = _overlap(box, area)
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return 10.0 * (whole - inside) if whole - inside > 1e-6 else 0.0  # noqa: PLR2004 (dust)


def _cuts(thread: tuple[Point, Point], box: Box) -> bool:
    """Whether a thread goes through a box, looked at in ten points."""
    (x0, y0), (x1, y1) = thread
    return any(
        box[0] < x0 + (x1 - x0) * n / 10 < box[2] and box[1] < y0 + (y1 - y0) * n / 10 < box[3]
        for n in range(1, 11)
    )
