"""Line charts that stay: SVG inside an image, which survives where scripts and SVG tags do not.

A notebook that is not trusted loses SVG tags, and an image knows nothing of the page's theme. So
colours are chosen to be seen on white and on black, and the words of `alt` say the same.
"""

from __future__ import annotations

import math
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Point = tuple[float, float]

BLUE, ORANGE, GREEN, VIOLET = "#3b7dd8", "#d0702a", "#2e8b57", "#a259d9"
GREY = "#7b7b7b"
WIDTH, HEIGHT = 316, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 18, 44, 36
MAX_POINTS, MAX_DOTS = 400, 60
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Curve:
    """One line of (step, value) points in the order of steps. What is not finite leaves a gap."""

    label: str
    points: Sequence[Point]
    colour: str = BLUE
    style: str = "line"  # or 'faint', or 'dashed' with dots at few points


def chart_html(title: str, curves: Sequence[Curve]) -> str:
    """An image of the curves over steps; nothing where no curve has a point."""
    shown = [curve for curve in curves if any(_finite(point) for point in curve.points)]
    if not shown:
        return ""
    data = b64encode(chart_svg(title, shown).encode()).decode()
    words = escape(f"{title} by step. " + "; ".join(map(_in_words, shown)))
    return (
        f'<img src="data:image/svg+xml;base64,{data}" width="{WIDTH}" height="{HEIGHT}" '
        f'alt="{words}" style="max-width: 100%; height: auto">'
    )


def chart_svg(title: str, curves: Sequence[Curve]) -> str:
    """The picture itself. Needs a finite point."""
    points = [point for curve in curves for point in curve.points if _finite(point)]
    xs, ys = ticks([x for x, _ in points], 5), ticks([y for _, y in points], 4)
    frame = _Frame(xs[0], xs[-1], ys[0], ys[-1])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{GREY}">'
    )
    parts = [
        head,
        f'<text x="4" y="15" font-size="13" font-weight="600">{escape(title)}</text>',
        *_axes(frame, xs, ys),
        *_legend(curves),
        *(_line(frame, curve) for curve in curves),
        "</svg>",
    ]
    return "".join(parts)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Finite values as bars of text, at most `width` of them, the lowest value lowest."""
    kept = [value for value in values if math.isfinite(value)]
    if not kept:
        return ""
    size = max(1, math.ceil(len(kept) / width))
    means = [sum(part) / len(part) for part in _parts(kept, size)]
    low, span = min(means), max(means) - min(means) or 1.0
    return "".join(BARS[round((mean - low) / span * (len(BARS) - 1))] for mean in means)


def smooth(values: Sequence[float], keep: float = 0.9) -> list[float]:
    """Exponential moving average without the pull to zero at its start; gaps pass through."""
    out, total, weight = [], 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            total = keep * total + (1 - keep) * value
            weight = keep * weight + (1 - keep)
            out.append(total / weight)
        else:
            out.append(math.nan)
    return out


def number_text(value: float) -> str:
    """Four significant digits, small ones as `2.5e-4`."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if value == 0 or abs(value) >= 0.001:
        return f"{value:.4g}"
    digits, power = f"{value:.3e}".split("e")
    return f"{float(digits):g}e{int(power)}"


@dataclass(frozen=True)
class _Frame:
    """From values to places in the picture."""

    x0: float
    x1: float
    y0: float
    y1: float

    def place(self, point: Point) -> tuple[float, float]:
        across = (point[0] - self.x0) / (self.x1 - self.x0)
        up = (point[1] - self.y0) / (self.y1 - self.y0)
        x = LEFT + across * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _finite(point: Point) -> bool:
    return math.isfinite(point[1])


def _in_words(curve: Curve) -> str:
    values = [value for _, value in curve.points if math.isfinite(value)]
    return f"{curve.label or 'it'} goes from {number_text(values[0])} to {number_text(values[-1])}"


def ticks(values: Sequence[float], count: int) -> list[float]:
    """Round numbers in even steps, from at most the lowest value to at least the highest."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * index for index in range(first, max(last, first + 1) + 1)]


def _axes(frame: _Frame, xs: Sequence[float], ys: Sequence[float]) -> Iterator[str]:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in ys:
        _, y = frame.place((xs[0], value))
        yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GREY}" stroke-opacity="0.25"/>'
        yield f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
    for value in xs:
        x, _ = frame.place((value, ys[0]))
        yield f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{_short(value)}</text>'
    yield f'<path d="M{LEFT} {floor}H{right}" stroke="{GREY}"/>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">step</text>'


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    x = 4.0
    for curve in curves:
        if not curve.label:
            continue
        yield f'<path d="M{x:.0f} 28h16" {_stroke(curve)}/>'
        yield f'<text x="{x + 21:.0f}" y="32" font-size="11">{escape(curve.label)}</text>'
        x += 36 + 6 * len(curve.label)


def _stroke(curve: Curve) -> str:
    look = {"faint": ' stroke-opacity="0.75"', "dashed": ' stroke-dasharray="6 3"'}
    width = 1 if curve.style == "faint" else 2
    return (
        f'stroke="{curve.colour}" stroke-width="{width}" fill="none" '
        f'stroke-linejoin="round"{look.get(curve.style, "")}'
    )


def _line(frame: _Frame, curve: Curve) -> str:
    drawn = []
    for whole, run in groupby(curve.points, _finite):
        if not whole:
            continue
        places = [frame.place(point) for point in _thinned(list(run))]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{path}" {_stroke(curve)}/>')
        if len(places) == 1 or (curve.style == "dashed" and len(places) <= MAX_DOTS):
            dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places)
            drawn.append(f'<g fill="{curve.colour}">{"".join(dots)}</g>')
    return "".join(drawn)


def _thinned(points: list[Point]) -> list[Point]:
    """At most about MAX_POINTS: the lowest and the highest of each stretch, so that peaks stay."""
    if len(points) <= MAX_POINTS:
        return points
    kept = [points[0]]
    for part in _parts(points, math.ceil(2 * len(points) / MAX_POINTS)):
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept += sorted(ends)
    return [*kept, points[-1]]


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _short(value: float) -> str:
    """A tick's number, without the dust of floating point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else number_text(round(value, 12))
