"""Four claims of this project, and what a depth study says of each on its own task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gptoss_magic.evaluation.statistics import holm
from gptoss_magic.records.depth import BARE, Conclusion
from gptoss_magic.studies.depth.compared import (
    LEVEL,
    bare_of,
    gain_values,
    is_context,
    is_damaged,
    pooled_difference,
    share_of_gain,
    words_of,
)
from gptoss_magic.studies.depth.words import capital, loss_words
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records.depth import Bounds, Depth, GuardFigure, RungResult
    from gptoss_magic.studies.depth.compared import PairedDifference

HOLDS, FAILS = "holds here", "does not hold here"
OPEN, UNTRIED = "not decided here", "not tried here"
SHARE = "60–80 % by context alone"
HOT = "hot experts beat random ones"
WHOLE = "tuning experts leaves reasoning whole"
PACKED = "QLoRA on MXFP4 hurts"
LOWEST, HIGHEST = 0.6, 0.8  # of the first claim
MARGIN = 0.05  # a smaller loss, and a smaller difference of packed weights, counts as none
EXPERT_STEPS = (9, 11)  # LoRA on experts, experts in full
REASONING = "reasoning"
UNPACKED = "-bf16"  # ends the key of a rung that is trained on unpacked weights


@dataclass(frozen=True)
class _Tested:
    """A claim by a paired difference, before Holm: `decide` says its verdict of (difference, p)."""

    claim: str
    found: PairedDifference
    what: str
    decide: Callable[[PairedDifference, float], str]


def claims(depth: Depth) -> list[Conclusion]:
    """The four, in their order; those that are tested by a difference share Holm's correction."""
    tested = [made for made in (_hot(depth), _packed(depth)) if isinstance(made, _Tested)]
    adjusted = iter(holm([one.found.p for one in tested]))
    sentences = {one.claim: _tested_sentence(one, next(adjusted), len(tested)) for one in tested}
    found = [
        _share(depth),
        sentences.get(HOT) or _untried(HOT, "no hot and random experts of one strength"),
        _whole(depth),
        sentences.get(PACKED)
        or _untried(PACKED, "no rung was trained on bf16 and on packed weights"),
    ]
    return [replace(one, words=capital(one.words)) for one in found]


def _untried(claim: str, why: str) -> Conclusion:
    return Conclusion(f"{why}.", claim, UNTRIED)


def _share(depth: Depth) -> Conclusion:
    """The best context rung's share of the best gain, its interval against 60 to 80 %."""
    bare, values = bare_of(depth), gain_values(depth)
    gained = [one for one in depth.results if one.gain is not None and one.rung.key != BARE]
    context = [one for one in gained if is_context(one)]
    trained = [one for one in gained if not is_context(one)]
    if bare is None or not context or not trained:
        missing = "no rung of context alone" if not context else "no rung that trains"
        return _untried(SHARE, f"{missing} was measured")
    one, best = _highest(context), _highest(gained)
    if best.gain is None or best.gain.low <= 0 or values[best.rung.key] >= LEVEL:
        words = f"the best gain, of {words_of(best)}, is not seen to differ from none"
        return Conclusion(f"{words}: it has no shares.", SHARE, OPEN)
    share = share_of_gain(one, _highest(trained) if one is best else best, bare)
    if share is None:
        words = "no rung that trains is seen to gain" if one is best else "no answers are there"
        return Conclusion(f"{words}: {words_of(one)} has no share of that.", SHARE, OPEN)
    of_what = "of the best gain of a rung that trains" if one is best else "of the best gain"
    verdict, tail = _share_verdict(share)
    return Conclusion(f"{words_of(one)} reaches {share.percent} {of_what}{tail}.", SHARE, verdict)


def _share_verdict(share: Bounds) -> tuple[str, str]:
    """(verdict, how the sentence ends)."""
    if share.low > HIGHEST:
        return FAILS, ": more than was claimed"
    if share.high < LOWEST:
        return FAILS, ": less than was claimed"
    if share.low >= LOWEST and share.high <= HIGHEST:
        return HOLDS, ""
    return OPEN, ": the bounds reach beyond 60 to 80 %"


def _hot(depth: Depth) -> _Tested | None:
    """Hot against random experts, averaged over the strengths that both were tried at."""
    pairs = _pairs(depth, lambda key: key.startswith("hot-"), lambda key: f"random{key[3:]}")
    if not pairs:
        return None
    strengths = ", ".join(hot.rung.strength for hot, _ in pairs)
    what = f"hot experts gain {{points}} points against random ones ({strengths})"
    return _Tested(HOT, pooled_difference(pairs, depth.plan.seed), what, _is_higher)


def _packed(depth: Depth) -> _Tested | None:
    """Rungs trained on unpacked weights against the same on packed ones."""
    pairs = _pairs(
        depth, lambda key: key.endswith(UNPACKED), lambda key: key.removesuffix(UNPACKED)
    )
    if not pairs:
        return None
    names = "; ".join(words_of(packed) for _, packed in pairs)
    what = f"trained on bf16 it gains {{points}} points against on packed weights ({names})"
    return _Tested(PACKED, pooled_difference(pairs, depth.plan.seed), what, _is_hurt)


def _pairs(
    depth: Depth, is_first: Callable[[str], bool], second: Callable[[str], str]
) -> list[tuple[RungResult, RungResult]]:
    """Measured rungs with their counterparts."""
    by_key = {one.rung.key: one for one in depth.results}
    return [
        (one, by_key[second(key)])
        for key, one in by_key.items()
        if is_first(key) and second(key) in by_key
    ]


def _is_higher(found: PairedDifference, p: float) -> str:
    """Holds where a gain is seen; does not where a loss is, or the gain's bounds end at 0."""
    if found.bounds is None or (p >= LEVEL and found.bounds.high > 0):
        return OPEN
    return HOLDS if found.bounds.value > 0 else FAILS


def _is_hurt(found: PairedDifference, p: float) -> str:
    """As before; and no harm where at most the margin is lost."""
    if found.bounds is not None and found.bounds.high < MARGIN:
        return FAILS
    return _is_higher(found, p)


def _tested_sentence(one: _Tested, p: float, num: int) -> Conclusion:
    found = one.found
    if found.bounds is None:
        return Conclusion(f"{found.refused}.", one.claim, OPEN)
    by = f"p = {p:.2g} by Holm over {num} claims" if num > 1 else f"p = {p:.2g}"
    margin = f"; less than {100 * MARGIN:.0f} points count as none" if one.claim == PACKED else ""
    words = one.what.format(points=found.bounds.points)
    return Conclusion(
        f"{words}, {counted(found.num_items, 'item')}, {by}{margin}.",
        one.claim,
        one.decide(found, p),
    )


def _whole(depth: Depth) -> Conclusion:
    """Every rung that tunes experts, by the reasoning guard: its loss is below the margin, or not.

    That each is below needs no correction for their number; that one is damaged has Holm's.
    """
    tuned = [one for one in depth.results if _tunes_experts(one)]
    figures = [(one, guard) for one in tuned for guard in one.guards if _is_reasoning(guard)]
    known = [(one, guard) for one, guard in figures if guard.difference is not None]
    if not known:
        return _untried(WHOLE, "no rung that tunes experts has a figure of reasoning")
    worst, guard = min(known, key=lambda pair: pair[1].difference.low if pair[1].difference else 0)
    margin = f"a loss below {100 * MARGIN:.0f} points counts as none"
    num = f"{len(known)} rungs" if len(known) > 1 else "one rung"
    broken = [
        f"{words_of(one)} {loss_words(figure)}"
        for one, figure in known
        if is_damaged(figure) and figure.difference and figure.difference.low <= -MARGIN
    ]
    if broken:
        return Conclusion(
            f"reasoning is lost by {'; '.join(broken)} points ({margin}).", WHOLE, FAILS
        )
    words = f"of {num}, the lowest bound is that of {words_of(worst)}, {loss_words(guard)} points"
    is_whole = all(figure.difference and figure.difference.low > -MARGIN for _, figure in known)
    left = len(figures) - len(known)
    more = f"; of {left} more reasoning could not be compared" if left else ""
    verdict = HOLDS if is_whole and not left else OPEN
    return Conclusion(f"{words} ({margin}{more}).", WHOLE, verdict)


def _tunes_experts(one: RungResult) -> bool:
    """Of the ladder's own rungs; a combination has its context's effect too."""
    return one.rung.step in EXPERT_STEPS or one.rung.key.startswith("router-experts-")


def _is_reasoning(guard: GuardFigure) -> bool:
    return guard.name.casefold().startswith(REASONING)


def _highest(results: Sequence[RungResult]) -> RungResult:
    return max(results, key=lambda one: one.gain.value if one.gain else 0.0)
