"""A depth study as static HTML and text: its picture, sentences, claims, table, what was dropped.

The picture is an image that stays where scripts do not; clear spots above its marks have the
numbers as tooltips, and the table below has them all.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.records.depth import BARE, GENERAL_TEXT, signed
from gptoss_magic.vocabulary import counted
from gptoss_magic.widgets.depth_chart import HEIGHT, WIDTH, depth_svg, shown, spots_of
from gptoss_magic.widgets.styles import MUTED, SCROLL
from gptoss_magic.widgets.tables import table_html, table_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records.depth import Bounds, Conclusion, Depth, GuardFigure, RungResult

SPOT = 16  # pixels of a tooltip's square
MINUTE, HOUR = 60.0, 3600.0
LEVEL = 0.05
NBSP = "\u00a0"
FIGURE = re.compile(r"[+−…]?[\d…]")
CAPTION = (
    "Up: right answers on held-out rows against bare. To the right: what the worst guard lost, in "
    "points of right answers; of general text, per cent of each token's probability. The bar to "
    "the right ends at the highest end of any guard's. Bars: 95 %; where they overlap, nothing is "
    "decided by the picture. Dashed: what no other rung beats in both. Grey and hollow: a cheaper "
    "rung gains at least as much and damages at most as much, as measured (cheaper: fewer trained "
    "numbers, then fewer tokens an answer, then fewer bytes)."
)


def depth_html(depth: Depth) -> str:
    """All of it."""
    parts = [_image(depth), _sentences_html(depth), _claims_html(depth), _table(depth)]
    parts.append(_dropped_html(depth))
    return f'<div class="gptoss-depth">{"".join(parts)}</div>'


def depth_text(depth: Depth) -> str:
    """The same as text, without the picture."""
    said = [one.words for one in depth.conclusions if not one.claim]
    parts = [
        _heading(depth),
        "\n".join(f"- {words}" for words in said),
        "\n".join(f"{one.claim}: {one.verdict}. {one.words}" for one in _claims(depth)),
        table_text(*rung_table(depth)) if depth.results else "",
        "\n".join(_left_lines(depth)),
    ]
    return "\n\n".join(filter(None, parts))


def _table(depth: Depth) -> str:
    if not depth.results:
        return f'<div style="{MUTED}">{escape(_heading(depth))}: no rung is measured yet.</div>'
    headers, rows = rung_table(depth)
    whole = [[_unbroken(cell) for cell in row] for row in rows]
    names = [header.replace(" ", NBSP) for header in headers]
    return table_html(names, whole, _table_caption(depth))


def _unbroken(cell: str) -> str:
    """Figures stay on one line."""
    return cell.replace(" ", NBSP) if FIGURE.match(cell) else cell


def rung_table(depth: Depth) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): every rung with every figure; what is not known is empty."""
    guards = list(dict.fromkeys(guard.name for one in depth.results for guard in one.guards))
    units = ["nats a token" if name == GENERAL_TEXT else "points" for name in guards]
    headers = ["rung", "what", "strength", "right", "gain, points"]
    headers += [f"{name}, {unit}" for name, unit in zip(guards, units, strict=True)]
    headers += ["KL, nats a token", "routing drift", "thinking, tokens", "trained"]
    headers += ["size", "time to make", "tokens an answer", "standing"]
    return headers, [_row(depth, one, guards) for one in depth.results]


def _row(depth: Depth, one: RungResult, guards: Sequence[str]) -> list[str]:
    figures = {guard.name: guard for guard in one.guards}
    rung = one.rung
    parts = f" ({' + '.join(rung.parts)})" if rung.parts else ""
    return [
        rung.key,
        rung.name + parts,
        rung.strength,
        one.score.percent,
        _points(one.gain),
        *(_guard_cell(figures.get(name)) for name in guards),
        _number(one.kl, 3),
        "" if one.drift is None or not math.isfinite(one.drift) else f"{one.drift:.3f}",
        _number(one.thinking, 1, "+"),
        _count(one.trained),
        _bytes(one.size),
        _duration(one.seconds),
        "" if rung.key == BARE else signed(one.extra_tokens, 0),
        _standing(depth, one),
    ]


def _standing(depth: Depth, one: RungResult) -> str:
    """In a word: on the frontier, beaten, or without a place."""
    if not depth.frontier:
        return ""
    if one not in shown(depth):
        return "not placed"
    return "on the frontier" if one.rung.key in depth.frontier else "beaten by a cheaper one"


def _guard_cell(guard: GuardFigure | None) -> str:
    if guard is None:
        return ""
    if guard.difference is None:
        return f"not compared: {guard.refused}" if guard.refused else ""
    is_text = guard.name == GENERAL_TEXT
    figure = _number(guard.difference, 3, "+") if is_text else _points(guard.difference)
    return figure + (" *" if guard.p is not None and guard.p < LEVEL else "")


def _image(depth: Depth) -> str:
    """The image with its tooltips, or nothing; a narrow window scrolls, and letters stay."""
    if not shown(depth):
        return ""
    data = b64encode(depth_svg(depth, _tooltip).encode("utf-8", "replace")).decode()
    keys = ", ".join(depth.frontier)
    words = f"{_heading(depth)}, gain against damage of {len(shown(depth))} rungs; "
    words += f"no cheaper one beats {keys}; all figures stand in the table below"
    image = (
        f'<img src="data:image/svg+xml;base64,{data}" width="{WIDTH}" height="{HEIGHT}" '
        f'alt="{escape(words)}" style="max-width: none">'
    )
    spots = "".join(_spot(spot.x, spot.y, _tooltip(spot.result)) for spot in spots_of(depth))
    return (
        f'<div {SCROLL} aria-label="Chart">'
        f'<div style="position: relative; width: {WIDTH}px">{image}{spots}</div></div>'
        f'<div style="{MUTED}; max-width: {WIDTH}px">{escape(_caption(depth))}</div>'
    )


def _spot(x: float, y: float, words: str) -> str:
    left, top = x - SPOT / 2, y - SPOT / 2
    return (
        f'<span title="{escape(words)}" style="position: absolute; left: {left:.0f}px; '
        f'top: {top:.0f}px; width: {SPOT}px; height: {SPOT}px"></span>'
    )


def _tooltip(one: RungResult) -> str:
    """A rung's numbers, a line each."""
    rung, damage = one.rung, one.damage
    lines = [f"{rung.key}: {rung.name}, {rung.strength}"]
    lines.append(f"right {one.score.percent}")
    if one.gain is not None:
        lines.append(f"gain {_points(one.gain)} points")
    if damage is not None and rung.key != BARE:
        lines.append(f"worst loss {_points(damage)} points")
    lines += [f"{guard.name} {cell}" for guard in one.guards if (cell := _guard_cell(guard))]
    cost = [f"{_count(one.trained)} trained" if one.trained else "", _bytes(one.size)]
    cost += [f"{signed(one.extra_tokens, 0)} tokens an answer"] if rung.key != BARE else []
    lines.append(" · ".join(filter(None, cost)))
    return "\n".join(filter(None, lines))


def _caption(depth: Depth) -> str:
    out = [one.rung.key for one in depth.results if one not in shown(depth)]
    return CAPTION + (f" Without a place, since not measured: {', '.join(out)}." if out else "")


def _table_caption(depth: Depth) -> str:
    interim = "" if depth.finish == "return" else "Interim. "
    return (
        f"{interim}Differences from bare over the same items, in 95 % bounds; *: p < 0.05 by Holm "
        "over the guards of all rungs."
    )


def _heading(depth: Depth) -> str:
    plan = depth.plan
    interim = "" if depth.finish == "return" else ", interim"
    return (
        f"{plan.task}: {len(depth.results)} of {len(plan.rungs)} rungs{interim}, "
        f"{counted(plan.num_train, 'row')} learned from, {plan.num_held_out:,} held out, graded by "
        f"{plan.graded_by}"
    )


def _sentences_html(depth: Depth) -> str:
    said = [one.words for one in depth.conclusions if not one.claim]
    items = "".join(f"<li>{escape(words)}</li>" for words in said)
    return f"<p>{escape(_heading(depth))}.</p><ul>{items}</ul>" if said else ""


def _claims_html(depth: Depth) -> str:
    rows = [[one.claim, one.verdict, one.words] for one in _claims(depth)]
    return table_html(["claim", "on this task", "why"], rows) if rows else ""


def _claims(depth: Depth) -> list[Conclusion]:
    return [one for one in depth.conclusions if one.claim]


def _dropped_html(depth: Depth) -> str:
    lines = "".join(f"<div>{escape(line)}</div>" for line in _left_lines(depth))
    return f'<div style="{MUTED}; max-width: {WIDTH}px">{lines}</div>' if lines else ""


def _left_lines(depth: Depth) -> Iterator[str]:
    """What was not run, and why; what of the rows was not read."""
    for one in depth.plan.dropped:
        rung = one.rung
        yield f"not run: {rung.key} ({rung.name}, {rung.strength}): {one.why}"
    yield from depth.plan.notes


def _points(bounds: Bounds | None) -> str:
    return "" if bounds is None else bounds.points


def _number(bounds: Bounds | None, digits: int, sign: str = "") -> str:
    if bounds is None:
        return ""
    low, high = (signed(end, digits, "") for end in (bounds.low, bounds.high))
    return f"{signed(bounds.value, digits, sign)} [{low}, {high}]"


def _count(number: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number) if number else ""


def _bytes(number: int) -> str:
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} B" if number else ""


def _duration(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s" if seconds >= 1 else ""
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
