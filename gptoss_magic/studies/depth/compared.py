"""What the rungs of a depth study say of each other: paired over the same items, never unpaired."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from gptoss_magic.evaluation import statistics as stats
from gptoss_magic.evaluation.scores import compared
from gptoss_magic.evaluation.suite import RIGHT
from gptoss_magic.records.depth import BARE, Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.records.depth import Depth, GuardFigure, RungResult
    from gptoss_magic.records.evaluations import ArmComparison

    Item = tuple[str, str]

LEVEL = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """One rung's score minus another's over `num_items` items; `refused` says why there is none."""

    num_items: int
    bounds: Bounds | None = None
    p: float = 1.0
    refused: str = ""


def difference_of(after: RungResult, before: RungResult, seed: int) -> PairedDifference:
    """`after` minus `before` on the task: exact McNemar, or a permutation for several tries.

    A cut answer is one that the task did not get, as in the study's figures.
    """
    both = [
        replace(one, arm=arm)
        for arm, result in (("before", before), ("after", after))
        for one in result.attempts
    ]
    found = compared(both, ["before", "after"], force=True, seed=seed)
    if not found:
        return PairedDifference(0, refused="no answers of both are there")
    one = found[0]
    bounds = difference_bounds(one)
    if bounds is None or one.p is None:
        return PairedDifference(one.num_items, refused=one.refused)
    return PairedDifference(one.num_items, bounds, one.p)


def pooled_difference(
    pairs: Sequence[tuple[RungResult, RungResult]], seed: int
) -> PairedDifference:
    """First minus second, averaged over the pairs item by item, so that one test decides."""
    if len(pairs) == 1:
        return difference_of(*pairs[0], seed)
    by_item: dict[Item, list[float]] = defaultdict(list)
    for one, other in pairs:
        rights, others = rights_of(one), rights_of(other)
        for item in rights.keys() & others.keys():
            by_item[item].append(rights[item] - others[item])
    whole = [fmean(one) for _, one in sorted(by_item.items()) if len(one) == len(pairs)]
    if len(whole) < 2:  # noqa: PLR2004 (one item says nothing of the others)
        return PairedDifference(len(whole), refused="no items were answered by all")
    if not any(whole):
        return PairedDifference(len(whole), bounds_of(stats.paired_share(0, 0, len(whole))))
    bounds = bounds_of(stats.bootstrap(whole, seed))
    return PairedDifference(len(whole), bounds, stats.permutation(whole, seed))


def share_of_gain(part: RungResult, whole: RungResult, bare: RungResult) -> Bounds | None:
    """What `part` gains of what `whole` gains; None where that has no bounds, or no answers."""
    base, parts, wholes = rights_of(bare), rights_of(part), rights_of(whole)
    items = sorted(base.keys() & parts.keys() & wholes.keys())
    found = stats.fieller(
        [parts[item] - base[item] for item in items], [wholes[item] - base[item] for item in items]
    )
    return None if found is None else bounds_of(found)


def rights_of(result: RungResult) -> dict[Item, float]:
    """By item: the share of its tries that are right."""
    tries: dict[Item, list[float]] = defaultdict(list)
    for one in result.attempts:
        tries[one.suite, one.item].append(float(one.verdict == RIGHT))
    return {item: fmean(one) for item, one in tries.items()}


def gain_values(depth: Depth) -> Mapping[str, float]:
    """By key: p of the rung's gain, by Holm over all rungs that have one."""
    bare = bare_of(depth)
    rungs = [one for one in depth.results if one.gain is not None and one is not bare]
    values = [_gain_value(one, bare, depth.plan.seed) for one in rungs]
    return dict(zip((one.rung.key for one in rungs), stats.holm(values), strict=True))


def bare_of(depth: Depth) -> RungResult | None:
    """Bare, or None where even that was not measured."""
    return next((one for one in depth.results if one.rung.key == BARE), None)


def is_context(result: RungResult) -> bool:
    """Whether it changes no weight and is not bare; a combination with a trained part is none."""
    rung = result.rung
    return rung.key != BARE and not rung.trains and not result.trained and not result.run


def is_damaged(guard: GuardFigure) -> bool:
    """Whether a loss is seen: by Holm's p, or by its bounds where there is none."""
    if guard.difference is None or guard.difference.value >= 0:
        return False
    return guard.difference.high < 0 if guard.p is None else guard.p < LEVEL


def words_of(result: RungResult) -> str:
    """A rung in a sentence: `LoRA on hot experts (rank 8)`."""
    rung = result.rung
    return f"{rung.name} ({rung.strength})" if rung.strength else rung.name


def _gain_value(result: RungResult, bare: RungResult | None, seed: int) -> float:
    """P of a gain: of its answers, else of its bounds, as if they were a normal's."""
    if bare is not None and bare.attempts and result.attempts:
        found = difference_of(result, bare, seed)
        if not found.refused:
            return found.p
    gain = result.gain
    if gain is None or not gain.high > gain.low:
        return 1.0
    error = (gain.high - gain.low) / (2 * NormalDist().inv_cdf(0.975))
    return 2 * (1 - NormalDist().cdf(abs(gain.value) / error))


def bounds_of(found: stats.Interval) -> Bounds:
    """An interval, as records have it."""
    return Bounds(found.value, found.low, found.high)


def difference_bounds(pair: ArmComparison) -> Bounds | None:
    """The difference of two arms; None where they were not compared."""
    if pair.difference is None or pair.low is None or pair.high is None:
        return None
    return Bounds(pair.difference, pair.low, pair.high)
