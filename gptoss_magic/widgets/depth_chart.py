"""Gain against damage of a depth study's rungs: SVG that stays, labels that keep apart.

A mark has its family's shape and colour, so that no colour has to be told from another. An image
knows nothing of the page's theme: all is seen on white and on black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from gptoss_magic.records.depth import BARE
from gptoss_magic.widgets.curves import GREY, ticks
from gptoss_magic.widgets.labels import placed_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.records.depth import Bounds, Depth, RungResult
    from gptoss_magic.widgets.labels import Box

WIDTH, HEIGHT = 760, 480
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 62, 46
RADIUS = 5.5
FADED = "#7d7d7d"  # a rung that a cheaper one beats
MARGIN, LEAST = 0.35, 2.0  # of the marks' span that bars may add to an axis; points at least
LONGEST = 22  # characters of a label


@dataclass(frozen=True)
class Family:
    """Rungs of one kind: steps `first` to `last` of the ladder. Colours after Okabe and Ito."""

    name: str
    first: int
    last: int
    colour: str
    shape: str


FAMILIES = (
    Family("bare", 0, 0, "#5f7186", "circle"),
    Family("context alone", 1, 5, "#2b83c6", "circle"),
    Family("soft prompts", 6, 6, "#c2639b", "down"),
    Family("attention", 7, 8, "#d55e00", "square"),
    Family("experts", 9, 11, "#079567", "up"),
    Family("last layers", 12, 12, "#9a7416", "diamond"),
    Family("together", 13, 13, "#8a6fd6", "cross"),
)


@dataclass(frozen=True)
class Spot:
    """A rung's mark in the picture, in its units."""

    result: RungResult
    x: float
    y: float
    is_beaten: bool


@dataclass(frozen=True)
class _Frame:
    """From points of damage and of gain to places in the picture."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, damage: float) -> float:
        share = (damage - self.x0) / (self.x1 - self.x0)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, gain: float) -> float:
        share = (gain - self.y0) / (self.y1 - self.y0)
        return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)


def shown(depth: Depth) -> list[RungResult]:
    """The rungs that have a place: a gain and a damage, both finite numbers; bare has."""
    return [one for one in depth.results if _has_place(one)]


def family_of(step: int) -> Family:
    """The family of a step; the last one for steps of a later version."""
    return next((one for one in FAMILIES if one.first <= step <= one.last), FAMILIES[-1])


def spots_of(depth: Depth) -> list[Spot]:
    """Where the marks stand."""
    results = shown(depth)
    return _spots(results, _frame(results), set(depth.frontier))


def depth_svg(depth: Depth, title_of: Callable[[RungResult], str]) -> str:
    """The picture itself; `title_of` says what a mark's tooltip has. Needs a rung with a place."""
    results = shown(depth)
    frame = _frame(results)
    spots = _spots(results, frame, set(depth.frontier))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{GREY}">'
        f'<text x="4" y="16" font-size="14" font-weight="600">{escape(_title(depth))}</text>'
    )
    order = sorted(spots, key=lambda spot: not spot.is_beaten)  # the frontier lies on top
    parts = [
        head,
        *_legend(results, spots),
        *_axes(frame),
        _frontier(spots),
        *(_bar_paths(frame, spot) for spot in order),
        *(_mark(spot, title_of(spot.result)) for spot in order),
        *_labels(spots, [*_steps(spots), *(bar for spot in spots for bar in _bars(frame, spot))]),
        "</svg>",
    ]
    return "".join(parts)


def _title(depth: Depth) -> str:
    interim = "" if depth.finish == "return" else " (interim)"
    task = depth.plan.task if len(depth.plan.task) <= 2 * LONGEST else f"{depth.plan.task[:43]}…"
    return f"{task}: gain against damage{interim}"


def _has_place(result: RungResult) -> bool:
    if result.rung.key == BARE:
        return True
    ends = (result.gain, result.damage)
    return all(one is not None and math.isfinite(one.value) for one in ends)


def _frame(results: Sequence[RungResult]) -> _Frame:
    """Axes that hold every mark, and the bars as far as they do not press the marks together."""
    xs = _span([result.damage for result in results])
    ys = _span([result.gain for result in results])
    return _Frame(xs[0], xs[-1], ys[0], ys[-1])


def _span(bounds: Sequence[Bounds | None]) -> list[float]:
    """Ticks in points, 0 among them."""
    known = [one for one in bounds if one is not None]
    values = [0.0, *(100 * one.value for one in known)]
    low, high = min(values), max(values)
    more = max(MARGIN * (high - low), LEAST)
    ends = [100 * end for one in known for end in (one.low, one.high) if math.isfinite(end)]
    inside = [min(max(end, low - more), high + more) for end in ends]
    return ticks([*values, *inside, low - LEAST / 2, high + LEAST / 2], 6)


def _spots(results: Sequence[RungResult], frame: _Frame, frontier: set[str]) -> list[Spot]:
    found = []
    for result in results:
        damage, gain = result.damage, result.gain
        x = frame.x(100 * damage.value if damage else 0.0)
        y = frame.y(100 * gain.value if gain else 0.0)
        found.append(Spot(result, x, y, bool(frontier) and result.rung.key not in frontier))
    return found


def _legend(results: Sequence[RungResult], spots: Sequence[Spot]) -> Iterator[str]:
    """The families that there are, and grey where a rung is beaten."""
    x = 12.0
    for family in FAMILIES:
        if not any(family_of(one.rung.step) is family for one in results):
            continue
        yield _shape(family.shape, x, 36, family.colour)
        yield f'<text x="{x + 10:.0f}" y="40" font-size="11">{escape(family.name)}</text>'
        x += 28 + 6.6 * len(family.name)
    if any(spot.is_beaten for spot in spots):
        x = WIDTH - RIGHT - 150
        yield _shape("circle", x, 12, FADED, beaten=True)
        yield f'<text x="{x + 10:.0f}" y="16" font-size="11">a cheaper one beats it</text>'


def _axes(frame: _Frame) -> Iterator[str]:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in ticks([frame.y0, frame.y1], 6):
        y = frame.y(value)
        yield _line(f"M{LEFT} {y:.1f}H{right}", 0.7 if value == 0 else 0.2)
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_points(value)}</text>'
    for value in ticks([frame.x0, frame.x1], 6):
        x = frame.x(value)
        yield _line(f"M{x:.1f} {TOP}V{floor}", 0.7 if value == 0 else 0.2)
        yield f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{_points(value)}</text>'
    middle, up = (LEFT + right) / 2, (TOP + floor) / 2
    yield (
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">damage: loss of the worst '
        "guard, points</text>"
        f'<text transform="translate(14 {up}) rotate(-90)" text-anchor="middle">gain on the task, '
        "points</text>"
    )


def _points(value: float) -> str:
    return f"{round(value, 6):g}".replace("-", "−")


def _line(path: str, opacity: float) -> str:
    return f'<path d="{path}" stroke="{GREY}" stroke-opacity="{opacity}" fill="none"/>'


def _steps(spots: Sequence[Spot]) -> list[Box]:
    """Level and upright lines through the rungs that no other one beats, whatever it costs."""
    best: list[Spot] = []
    for spot in sorted(spots, key=lambda one: (one.x, one.y)):
        if not best or spot.y < best[-1].y:
            best.append(spot)
    lines: list[Box] = []
    for one, other in pairwise(best):
        lines += [(one.x, one.y, other.x, one.y), (other.x, other.y, other.x, one.y)]
    return lines


def _frontier(spots: Sequence[Spot]) -> str:
    path = "".join(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" for x0, y0, x1, y1 in _steps(spots))
    return (
        f'<path d="{path}" fill="none" stroke="{GREY}" stroke-width="1.5" stroke-dasharray="5 3"/>'
        if path
        else ""
    )


def _bars(frame: _Frame, spot: Spot) -> list[Box]:
    """Its intervals as lines, cut at the frame."""
    damage, gain = spot.result.damage, spot.result.gain
    bars: list[Box] = []
    if damage is not None and damage.high > damage.low:
        bars.append((frame.x(100 * damage.low), spot.y, frame.x(100 * damage.high), spot.y))
    if gain is not None and gain.high > gain.low:
        bars.append((spot.x, frame.y(100 * gain.high), spot.x, frame.y(100 * gain.low)))
    return bars


def _bar_paths(frame: _Frame, spot: Spot) -> str:
    bars = _bars(frame, spot)
    path = "".join(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" for x0, y0, x1, y1 in bars)
    opacity = 0.28 if spot.is_beaten else 0.5
    return f'<path d="{path}" stroke="{_colour(spot)}" stroke-opacity="{opacity}"/>' if path else ""


def _colour(spot: Spot) -> str:
    return FADED if spot.is_beaten else family_of(spot.result.rung.step).colour


def _mark(spot: Spot, title: str) -> str:
    family = family_of(spot.result.rung.step)
    shape = _shape(family.shape, spot.x, spot.y, _colour(spot), beaten=spot.is_beaten)
    return f"<g><title>{escape(title)}</title>{shape}</g>"


def _shape(shape: str, x: float, y: float, colour: str, *, beaten: bool = False) -> str:
    """A mark around (x, y); a beaten one is hollow."""
    r = RADIUS
    paths = {
        "square": f"M{x - r + 1:.1f} {y - r + 1:.1f}h{2 * r - 2}v{2 * r - 2}h{2 - 2 * r}z",
        "up": f"M{x:.1f} {y - r:.1f}l{r} {1.8 * r:.1f}h{-2 * r}z",
        "down": f"M{x:.1f} {y + r:.1f}l{r} {-1.8 * r:.1f}h{-2 * r}z",
        "diamond": f"M{x:.1f} {y - r - 1:.1f}l{r} {r + 1}l{-r} {r + 1}l{-r} {-r - 1}z",
    }
    look = f'fill="{"none" if beaten else colour}" stroke="{colour}" stroke-width="1.4"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r - 0.5}" {look}/>'
    if shape == "cross":
        path = f"M{x - r:.1f} {y:.1f}h{2 * r}M{x:.1f} {y - r:.1f}v{2 * r}"
        return f'<path d="{path}" stroke="{colour}" stroke-width="{1.4 if beaten else 3.4}"/>'
    return f'<path d="{paths[shape]}" {look}/>'


def _labels(spots: Sequence[Spot], lines: Sequence[Box]) -> Iterator[str]:
    """Keys beside their marks, those of the frontier first; a thread where one stands far off."""
    order = sorted(spots, key=lambda spot: (spot.is_beaten, spot.x))
    names = [_short(spot.result.rung.key) for spot in order]
    area = (LEFT, TOP - 8, WIDTH - RIGHT, HEIGHT - BOTTOM)
    found = placed_labels([(spot.x, spot.y) for spot in order], names, area, lines)
    for spot, name, label in zip(order, names, found, strict=True):
        colour, x, y = _colour(spot), label.middle, label.base
        if label.thread:
            (x0, y0), (x1, y1) = label.thread
            path = f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"
            yield f'<path d="{path}" stroke="{colour}" stroke-opacity="0.55" stroke-width="0.8"/>'
        yield (
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="middle" fill="{colour}">'
            f"{escape(name)}</text>"
        )


def _short(key: str) -> str:
    return key if len(key) <= LONGEST else f"{key[: LONGEST - 1]}…"
