"""Figures of a depth study as sentences have them: points, shares, losses, in their bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gptoss_magic.records.depth import GENERAL_TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records.depth import DepthGuard, GuardFigure

SEEN = (1.96 + 0.84) / 1.96  # half widths of a 95 % interval, for 80 % power


def loss_words(guard: GuardFigure) -> str:
    """The difference of a guard from bare: points, or nats a token of general text."""
    if guard.difference is None:
        return "not measured"
    if guard.name != GENERAL_TEXT:
        return guard.difference.points
    one = guard.difference
    return f"{_nats(one.value, '+')} [{_nats(one.low)}, {_nats(one.high)}]"


def smallest_words(guards: Sequence[DepthGuard], figures: Sequence[GuardFigure]) -> str:
    """From which damage on each guard would have shown it, in four of five such studies.

    A guard whose plan could not say has it of the bounds that were measured: their half width
    times (1.96 + 0.84) / 1.96, the widest of the figures.
    """
    parts = []
    for one in guards:
        least = one.smallest
        if least is None:
            least = max(map(_smallest_of, (f for f in figures if f.name == one.name)), default=0.0)
        if one.name == GENERAL_TEXT:
            parts.append(f"{one.name} from {least:.2g} nats a token on")
        elif least:
            parts.append(f"{one.name} from {100 * least:.0f} points on")
    return f"what would be seen: {', '.join(parts)}"


def _smallest_of(figure: GuardFigure) -> float:
    one = figure.difference
    if one is None or not math.isfinite(one.high - one.low):
        return 0.0
    return (one.high - one.low) / 2 * SEEN


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def _nats(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("-", "−") if math.isfinite(value) else "…"
