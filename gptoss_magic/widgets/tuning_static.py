"""What a tuning run leaves in the notebook: curves, a table of its key numbers, and words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import TYPE_CHECKING

from gptoss_magic.widgets.curves import (
    BLUE,
    GREEN,
    ORANGE,
    VIOLET,
    Curve,
    chart_html,
    number_text,
    smooth,
    sparkline,
)
from gptoss_magic.widgets.styles import MUTED
from gptoss_magic.widgets.tables import table_html, table_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import RankStep, StepMetrics

    Row = tuple[str, str, str, str]

HEADERS = ("", "first", "last", "best")
RANK_COLOURS = (BLUE, ORANGE, GREEN, VIOLET, "#c8503c", "#5b6b7b", "#b8860b", "#1f9a9a")


@dataclass(frozen=True)
class Ending:
    """A run when it is over. `how` in words ('finished'); `seconds` from opening to the end."""

    title: str
    facts: Sequence[tuple[str, str]]
    steps: Sequence[StepMetrics]
    num_steps: int
    how: str
    seconds: float


def ending_html(run: Ending) -> str:
    """Curves and key numbers as self-contained HTML."""
    charts = [chart_html(title, curves) for title, curves in curves_of(run.steps)]
    table = table_html(HEADERS, key_numbers(run.steps)) if run.steps else ""
    return (
        f'<div class="gptoss-run"><strong>{escape(run.title)}</strong>'
        f'<div style="{MUTED}">{escape(facts_line(run.facts))}</div>'
        f'<div style="{MUTED}">{escape(summary(run))}</div>'
        '<div class="gptoss-curves" style="display: flex; flex-wrap: wrap; gap: 8px 16px; '
        f'margin: 8px 0">{"".join(charts)}</div>{table}</div>'
    )


def ending_text(run: Ending) -> str:
    """The same in words and bars."""
    lines = [run.title, facts_line(run.facts), summary(run)]
    if run.steps:
        bars = sparkline([step.loss for step in run.steps])
        lines += ["", table_text(HEADERS, key_numbers(run.steps)), f"loss {bars}"]
    return "\n".join(line for i, line in enumerate(lines) if line or i > 2)


def facts_line(facts: Sequence[tuple[str, str]]) -> str:
    return " · ".join(f"{label}: {value}" for label, value in facts)


def summary(run: Ending) -> str:
    """`Finished · 40 of 40 steps · 12 s · 3,120 tokens/s · 1.2 GB at most`."""
    words = [
        run.how[:1].upper() + run.how[1:],
        _steps_text(run),
        duration_text(run.seconds),
    ]
    if run.steps:
        speed = median(step.tokens_per_s for step in run.steps)
        memory = max(step.memory for step in run.steps)
        words += [f"{speed:,.0f} tokens/s", f"{memory_text(memory)} at most"]
    return " · ".join(words)


def _steps_text(run: Ending) -> str:
    """How many; from where to where for a run that was taken up again."""
    if run.steps and run.steps[0].step > 1:
        return f"steps {run.steps[0].step:,} to {run.steps[-1].step:,} of {run.num_steps:,}"
    return f"{len(run.steps):,} of {run.num_steps:,} steps"


def key_numbers(steps: Sequence[StepMetrics]) -> list[Row]:
    """First, last and best value of each figure that was measured."""
    drifts = [(step.step, step.drift) for step in steps if step.drift is not None]
    held = [(step.step, step.eval_loss) for step in steps if step.eval_loss is not None]
    shares = [(number, drift.share) for number, drift in drifts if drift.share is not None]
    rows = [
        _key("loss", [(step.step, step.loss) for step in steps], min),
        _key("held-out loss", held, min),
        _key("suite: right answers", _probed(steps), max),
        _key("learning rate", [(step.step, step.learning_rate) for step in steps], max),
        _key("gradient norm", [(step.step, step.grad_norm) for step in steps]),
        _key("routing: distance from base", [(n, drift.distance) for n, drift in drifts]),
        _key("routing: entropy (nats)", [(n, drift.entropy) for n, drift in drifts]),
        _key("routing: share of trained experts", shares),
    ]
    return [row for row in rows if row is not None]


def _key(
    label: str,
    values: Sequence[tuple[int, float]],
    best: Callable[..., tuple[int, float]] | None = None,
) -> Row | None:
    finite = [pair for pair in values if math.isfinite(pair[1])]
    if not values:
        return None
    first, last = number_text(values[0][1]), number_text(values[-1][1])
    if best is None or not finite:
        return label, first, last, ""
    number, value = best(finite, key=lambda pair: pair[1])
    which = " (highest)" if best is max else ""
    return label, first, last, f"{number_text(value)} at step {number:,}{which}"


def curves_of(steps: Sequence[StepMetrics]) -> list[tuple[str, list[Curve]]]:
    """Charts by title: loss, a suite, learning rate, gradient norm, routing drift."""
    numbers = [step.step for step in steps]
    losses = [step.loss for step in steps]
    held = [(step.step, step.eval_loss) for step in steps if step.eval_loss is not None]
    drifts = [(step.step, step.drift) for step in steps if step.drift is not None]
    shares = [(number, drift.share) for number, drift in drifts if drift.share is not None]
    loss = [
        Curve("train", list(zip(numbers, losses, strict=True)), BLUE, "faint"),
        Curve("smoothed", list(zip(numbers, smooth(losses), strict=True)), BLUE),
        Curve("held out", held, ORANGE, "dashed"),
    ]
    rates = Curve("", [(step.step, step.learning_rate) for step in steps], GREEN)
    norms = Curve("", [(step.step, step.grad_norm) for step in steps], VIOLET)
    away = [
        Curve("distance from base", [(n, drift.distance) for n, drift in drifts], BLUE),
        Curve("share of trained experts", shares, ORANGE, "dashed"),
    ]
    entropy = Curve("", [(number, drift.entropy) for number, drift in drifts], GREEN)
    return [
        ("Loss (nats per token)", loss),
        ("Suite (share of right answers)", suite_curves(steps)),
        ("Learning rate", [rates]),
        ("Gradient norm", [norms]),
        ("Routing drift", away),
        ("Routing entropy (nats)", [entropy]),
        *rank_curves(steps),
    ]


def rank_curves(steps: Sequence[StepMetrics]) -> list[tuple[str, list[Curve]]]:
    """Charts of what each rank did, a line for each of them; none for one process alone."""
    count = max((len(step.ranks) for step in steps), default=0)
    figures: dict[str, Callable[[RankStep], float]] = {
        "Loss by rank (nats per own token)": lambda one: math.nan if one.loss is None else one.loss,
        "Tokens/s by rank, while it works": lambda one: one.tokens_per_s,
        "Memory by rank (MB)": lambda one: one.memory / 1e6,
        "Busiest expert by rank (share)": lambda one: one.load,
    }
    return [
        (title, [_rank_curve(steps, rank, figure) for rank in range(count)])
        for title, figure in figures.items()
        if count
    ]


def _rank_curve(
    steps: Sequence[StepMetrics], rank: int, figure: Callable[[RankStep], float]
) -> Curve:
    points = [(step.step, figure(step.ranks[rank])) for step in steps if rank < len(step.ranks)]
    return Curve(f"rank {rank}", points, RANK_COLOURS[rank % len(RANK_COLOURS)])


def suite_curves(steps: Sequence[StepMetrics]) -> list[Curve]:
    """Right answers from step 0 on, and as many as there were then, where a suite was asked."""
    probes = [step.probe for step in steps if step.probe is not None]
    if not probes:
        return []
    now = _probed(steps)
    before = [(number, probes[0].base) for number, _ in now]
    return [Curve("now", now, BLUE), Curve("before the run", before, ORANGE, "dashed")]


def _probed(steps: Sequence[StepMetrics]) -> list[tuple[int, float]]:
    """(step, share of right answers), step 0 first; nothing where no suite was asked."""
    found = [(step.step, step.probe) for step in steps if step.probe is not None]
    first = [(0, found[0][1].base)] if found else []
    return first + [(number, probe.score) for number, probe in found]


def duration_text(seconds: float) -> str:
    """`8.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def memory_text(count: int) -> str:
    """Bytes in decimal units."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
