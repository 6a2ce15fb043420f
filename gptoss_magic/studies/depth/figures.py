"""Gain and damage of every rung: paired against bare over the same items, each in 95 % bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.evaluation import statistics as stats
from gptoss_magic.evaluation.scores import compared, scores_of
from gptoss_magic.evaluation.suite import RIGHT
from gptoss_magic.records.depth import BARE, Bounds, Depth, Dropped, GuardFigure, RungResult
from gptoss_magic.studies.depth.compared import bounds_of, difference_bounds
from gptoss_magic.studies.depth.guards import FORM, TEXT
from gptoss_magic.studies.depth.task import TASK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gptoss_magic.records.depth import DepthPlan
    from gptoss_magic.records.evaluations import ArmComparison, ArmScore
    from gptoss_magic.studies.depth.journal import RungRecord


def results_of(records: Sequence[RungRecord], guards: Sequence[str]) -> tuple[RungResult, ...]:
    """A result for each rung; the first record is bare. p by Holm over all guards of all rungs."""
    scores, pairs = _figures(records)
    bare = records[0]
    made = [_result(one, bare, guards, scores, pairs) for one in records]
    values = [figure.p for one in made for figure in one.guards if figure.p is not None]
    adjusted = iter(stats.holm(values))
    return tuple(
        replace(
            one,
            guards=tuple(
                figure if figure.p is None else replace(figure, p=next(adjusted))
                for figure in one.guards
            ),
        )
        for one in made
    )


def depth_with(
    plan: DepthPlan,
    records: Sequence[RungRecord],
    finish: str,
    folder: Path,
    provenance: dict[str, Any],
) -> Depth:
    """A study as far as its records go, without what it comes to."""
    done = [one for one in records if not one.why]
    return Depth(
        plan=plan_with(plan, records),
        results=results_of(done, [guard.name for guard in plan.guards]) if done else (),
        finish=finish,
        folder=str(folder),
        provenance=provenance,
    )


def plan_with(plan: DepthPlan, records: Sequence[RungRecord]) -> DepthPlan:
    """The plan with what could not be done among the dropped, and what 'both' was made of."""
    known = {one.rung.key: one.rung for one in records}
    failed = [Dropped(one.rung, one.why) for one in records if one.why]
    out = {one.rung.key for one in failed}
    rungs = tuple(known.get(one.key, one) for one in plan.rungs if one.key not in out)
    return replace(plan, rungs=rungs, dropped=(*plan.dropped, *failed))


def _figures(
    records: Sequence[RungRecord],
) -> tuple[Mapping[tuple[str, str], ArmScore], Mapping[tuple[str, str], ArmComparison]]:
    """Scores and comparisons by (suite, rung).

    A cut answer is one that the task did not get, and an answer whose form is broken: there arms
    are compared whatever was cut. On the other guards a comparison is refused where it differs.
    """
    attempts = [one for record in records for one in record.attempts]
    keys = [record.rung.key for record in records]
    scores = {(one.suite, one.arm): one for one in scores_of(attempts)}
    forced = [one for one in attempts if one.suite in (TASK, FORM)]
    others = [one for one in attempts if one.suite not in (TASK, FORM)]
    made = [*compared(forced, keys, force=True), *compared(others, keys)]
    return scores, {(one.suite, one.arm): one for one in made}


def _result(
    record: RungRecord,
    bare: RungRecord,
    guards: Sequence[str],
    scores: Mapping[tuple[str, str], ArmScore],
    pairs: Mapping[tuple[str, str], ArmComparison],
) -> RungResult:
    key = record.rung.key
    score, pair = scores[TASK, key], pairs.get((TASK, key))
    is_bare = key == BARE
    return RungResult(
        rung=record.rung,
        score=Bounds(score.score, score.low, score.high),
        gain=None if pair is None else difference_bounds(pair),
        guards=tuple(
            _text_figure(record, bare)
            if name == TEXT
            else _guard_figure(name, scores[name, key], pairs.get((name, key)))
            for name in guards
        ),
        kl=None if is_bare or not record.texts.kls else _mean(record.texts.kls),
        drift=record.drift,
        thinking=None if is_bare else _mean(_thoughts(record, bare)),
        trained=record.trained,
        size=record.size,
        seconds=record.seconds,
        extra_tokens=_tokens(record) - _tokens(bare),
        run=record.run,
        persona=record.persona,
        attempts=tuple(one for one in record.attempts if one.suite == TASK),
    )


def _guard_figure(name: str, score: ArmScore, pair: ArmComparison | None) -> GuardFigure:
    bounds = Bounds(score.score, score.low, score.high)
    if pair is None:
        return GuardFigure(name, bounds)
    return GuardFigure(name, bounds, difference_bounds(pair), pair.p, _plainly(pair.refused))


def _plainly(refused: str) -> str:
    """Why arms are not compared, without the way out that a study does not have."""
    return refused.partition(": raise --max-tokens")[0]


def _text_figure(record: RungRecord, bare: RungRecord) -> GuardFigure:
    """Minus nats a token, a text a cluster; the difference is paired by text."""
    losses = [-loss for loss in record.texts.losses]
    if record.rung.key == BARE:
        return GuardFigure(TEXT, _mean(losses))
    pairs = zip(record.texts.losses, bare.texts.losses, strict=True)
    worse = [before - after for after, before in pairs]
    return GuardFigure(TEXT, _mean(losses), _mean(worse), stats.permutation(worse))


def _thoughts(record: RungRecord, bare: RungRecord) -> list[float]:
    """Tokens of reasoning by item, against bare."""
    before = {(one.suite, one.item): one.analysis_tokens for one in bare.attempts}
    return [float(one.analysis_tokens - before[one.suite, one.item]) for one in record.attempts]


def _tokens(record: RungRecord) -> float:
    """Tokens that are read and written for an answer to the task, in the mean."""
    spent = [
        one.num_tokens + read
        for one, read in zip(record.attempts, record.prompt_tokens, strict=True)
        if one.suite == TASK
    ]
    return sum(spent) / len(spent)


def _mean(values: Sequence[float]) -> Bounds:
    """The mean of clusters, in Student's bounds."""
    return bounds_of(stats.student([[value] for value in values]))


def num_right(record: RungRecord) -> int:
    """How many of the task's rows are right; to choose the best."""
    return sum(one.verdict == RIGHT for one in record.attempts if one.suite == TASK)
