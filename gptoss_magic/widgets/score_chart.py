"""Scores against tokens spent, a point an arm with its interval: SVG in an image that stays."""

from __future__ import annotations

import math
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.widgets.curves import BLUE, GREEN, GREY, ORANGE, VIOLET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records.evaluations import ArmScore

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 130, 26, 40
COLOURS = (BLUE, ORANGE, GREEN, VIOLET, "#b8860b", "#c4453c", "#1b8a8f", GREY)
SHOWN = 18  # characters of an arm's name


def score_chart_html(title: str, scores: Sequence[ArmScore]) -> str:
    """An image of one suite's arms; the words of `alt` say the same."""
    words = "; ".join(
        f"{one.arm} {one.score:.0%} [{one.low:.0%}, {one.high:.0%}] at {one.tokens:.0f} tokens"
        for one in scores
    )
    data = b64encode(score_chart_svg(title, scores).encode()).decode()
    return (
        f'<img src="data:image/svg+xml;base64,{data}" width="{WIDTH}" height="{HEIGHT}" '
        f'alt="{escape(f"{title}, right answers against tokens: {words}")}" '
        'style="max-width: 100%; height: auto">'
    )


def score_chart_svg(title: str, scores: Sequence[ArmScore]) -> str:
    """The picture itself: right answers, 0 to 100 %, over tokens an answer."""
    top = _rounded(max(one.tokens for one in scores))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{GREY}">'
        f'<text x="4" y="15" font-size="13" font-weight="600">{escape(title)}</text>'
    )
    points = (_point(place, one, top) for place, one in enumerate(scores))
    return "".join([head, *_axes(top), *points, "</svg>"])


def _rounded(tokens: float) -> float:
    """A round number that is at least `tokens`."""
    power = 10.0 ** math.floor(math.log10(max(tokens, 1.0)))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= tokens * 0.999)


def _x(tokens: float, top: float) -> float:
    return LEFT + tokens / top * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes(top: float) -> Iterator[str]:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GREY}" stroke-opacity="0.25"/>'
        yield f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
    for tokens in (0.0, top / 2, top):
        x = _x(tokens, top)
        yield f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{tokens:,.0f}</text>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">tokens an answer</text>'


def _point(place: int, one: ArmScore, top: float) -> str:
    """A dot with its interval, and its line of the legend."""
    x, y, colour = _x(one.tokens, top), _y(one.score), COLOURS[place % len(COLOURS)]
    name = one.arm if len(one.arm) <= SHOWN else f"{one.arm[: SHOWN - 1]}…"
    row = TOP + 10 + 17 * place
    return (
        f'<path d="M{x:.1f} {_y(one.low):.1f}V{_y(one.high):.1f}" stroke="{colour}" '
        f'stroke-width="2"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
        f'<circle cx="{WIDTH - RIGHT + 14}" cy="{row - 4}" r="4.5" fill="{colour}"/>'
        f'<text x="{WIDTH - RIGHT + 23}" y="{row}" font-size="11">{escape(name)}</text>'
    )
