"""Figures of a depth study as sentences have them: points, shares, losses, in their bounds."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from gptoss_magic.evaluation.statistics import smallest_difference
from gptoss_magic.records.depth import GENERAL_TEXT
from gptoss_magic.studies.depth.compared import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records.depth import DepthGuard, GuardFigure

POWER_Z, BOUND_Z = 0.84, 1.96  # normal quantiles of 80 % power, and of a 95 % interval's half width


def loss_words(guard: GuardFigure) -> str:
    """The difference of a guard from bare: points, or nats a token of general text."""
    if guard.difference is None:
        return "not measured"
    if guard.name != GENERAL_TEXT:
        return guard.difference.points
    one = guard.difference
    return f"{_nats(one.value, '+')} [{_nats(one.low)}, {_nats(one.high)}]"


def smallest_words(
    guards: Sequence[DepthGuard], figures: Sequence[GuardFigure], num_compared: int
) -> str:
    """From which damage on each guard would have shown it, in four of five such studies.

    At the level of Holm's first step over `num_compared` figures. Of general text it follows from
    the bounds that were measured, the widest of the figures.
    """
    level, parts = LEVEL / max(1, num_compared), []
    for one in guards:
        if one.name != GENERAL_TEXT:
            least = smallest_difference(one.num_items, level=level)
            parts.append(f"{one.name} {from_points(least)}")
            continue
        times = (NormalDist().inv_cdf(1 - level / 2) + POWER_Z) / BOUND_Z
        least = max(map(_half_width, (f for f in figures if f.name == one.name)), default=0.0)
        parts.append(f"{one.name} from {least * times:.2g} nats a token on")
    return f"what would be seen: {', '.join(parts)}"


def from_points(least: float) -> str:
    """From which difference on it is seen; `least` above 1: no share differs by so much."""
    return f"from about {100 * least:.0f} points on" if least <= 1 else "of no size: too few items"


def _half_width(figure: GuardFigure) -> float:
    one = figure.difference
    if one is None or not math.isfinite(one.high - one.low):
        return 0.0
    return (one.high - one.low) / 2


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def _nats(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("-", "−") if math.isfinite(value) else "…"
