"""What a depth study comes to: its frontier, and the sentences that its intervals carry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.records.depth import BARE, GENERAL_TEXT, Conclusion
from gptoss_magic.studies.depth.claims import claims
from gptoss_magic.studies.depth.compared import (
    LEVEL,
    bare_of,
    gain_values,
    is_context,
    is_damaged,
    share_of_gain,
    words_of,
)
from gptoss_magic.studies.depth.ladder import PERSONA
from gptoss_magic.studies.depth.words import capital, from_points, loss_words, smallest_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records.depth import Depth, GuardFigure, RungResult

MOST_NAMED = 6  # rungs that one sentence names


def concluded(depth: Depth) -> Depth:
    """The study with its `frontier` and `conclusions`: sentences first, then the four claims."""
    said = (*_sentences(depth), *claims(depth))
    return replace(depth, frontier=frontier_of(depth.results), conclusions=said)


def frontier_of(results: Sequence[RungResult]) -> tuple[str, ...]:
    """Keys of rungs that no cheaper one beats, in their order, by the values that were measured.

    One is beaten where a cheaper one gains at least as much and damages at most as much, on all
    guards that it was measured on itself. Without a gain or a damage a rung is beaten by none and
    beats none; it is not on the frontier.
    """
    placed = [one for one in results if _place(one) is not None]
    return tuple(one.rung.key for one in placed if not any(_beats(other, one) for other in placed))


def cost_of(result: RungResult) -> tuple[int, float, int]:
    """(trained numbers, extra tokens an answer, bytes): the first that differs decides.

    What changes no weight is cheaper than what does. Tokens are a mean over answers, which differ
    by chance too: they are told apart by whole ones.
    """
    return result.trained, round(result.extra_tokens), result.size


def _place(result: RungResult) -> tuple[float, float] | None:
    """(gain, damage), or None where one of them is missing."""
    if result.rung.key == BARE:
        return 0.0, 0.0
    if result.gain is None or result.damage is None:
        return None
    return result.gain.value, result.damage.value


def _beats(cheaper: RungResult, result: RungResult) -> bool:
    one, other = _place(cheaper), _place(result)
    if one is None or other is None or not cost_of(cheaper) < cost_of(result):
        return False
    is_measured = cheaper.rung.key == BARE or _measured(result) <= _measured(cheaper)
    return is_measured and one[0] >= other[0] and one[1] <= other[1]


def _measured(result: RungResult) -> set[str]:
    return {guard.name for guard in result.guards if guard.difference is not None}


def _sentences(depth: Depth) -> Iterator[Conclusion]:
    """What the intervals carry, a sentence each."""
    others = [one for one in depth.results if one.rung.key != BARE]
    if depth.finish != "return":
        num = len(depth.plan.rungs)
        yield Conclusion(
            f"Interim: stopped after {len(depth.results)} of {num} rungs; all below is of these "
            "alone, and may change."
        )
    if not others or bare_of(depth) is None:
        yield Conclusion("Only bare was measured: there is nothing to compare it with.")
        return
    values = gain_values(depth)
    best = best_of(depth, values)
    yield _best_sentence(depth, best, values)
    if best is not None:
        yield from _share_sentences(depth, best)
    yield from _lost_sentence(depth, values)
    yield from _damage_sentences(depth, others)


def best_of(depth: Depth, values: Mapping[str, float]) -> RungResult | None:
    """The rung of the highest gain, where that is seen to be one at all; else None."""
    seen = [
        one
        for one in depth.results
        if one.gain is not None and one.gain.low > 0 and values.get(one.rung.key, 1.0) < LEVEL
    ]
    return max(seen, key=lambda one: one.gain.value if one.gain else 0.0, default=None)


def _best_sentence(
    depth: Depth, best: RungResult | None, values: Mapping[str, float]
) -> Conclusion:
    plan, num = depth.plan, len(values)
    over = f"p by Holm over {num} rungs" if num > 1 else "one rung"
    if best is not None and best.gain is not None:
        first = "The largest gain" if num > 1 else "The gain"
        return Conclusion(
            f"{first} on {plan.num_held_out} held-out rows is that of {words_of(best)}: "
            f"{best.gain.points} points{_with_damage(depth, best)} ({over})."
        )
    gains = [one for one in depth.results if one.gain is not None and one.rung.key in values]
    if not gains:
        return Conclusion("No rung was compared with bare on the task.")
    top = max(gains, key=lambda one: one.gain.value if one.gain else 0.0)
    at = f"{words_of(top)} with {top.gain.points} points" if top.gain else ""
    return Conclusion(
        f"No rung is seen to gain on the task ({over}): the highest is {at}, and "
        f"{plan.num_held_out} held-out rows show a gain {from_points(plan.smallest)}."
    )


def _share_sentences(depth: Depth, best: RungResult) -> Iterator[Conclusion]:
    """How far the persona alone, and the best of context alone, go towards the best gain."""
    bare = bare_of(depth)
    named = dict.fromkeys(filter(None, (_persona_of(depth), context_best(depth))))
    for one in named:
        if one is best or bare is None:
            continue
        share = share_of_gain(one, best, bare)
        if share is not None:
            yield Conclusion(
                f"{capital(words_of(one))} alone reaches {share.percent} of the best gain"
                f"{_with_damage(depth, one)}."
            )
    if is_context(best):
        trained = [one for one in depth.results if one.trained or one.rung.trains]
        more = ": no rung that trains is seen to gain more" if trained else ""
        yield Conclusion(f"The largest gain comes of context alone{more}.")


def _persona_of(depth: Depth) -> RungResult | None:
    found = [one for one in depth.results if one.rung.step == PERSONA and one.gain is not None]
    return max(found, key=lambda one: one.gain.value if one.gain else 0.0, default=None)


def context_best(depth: Depth) -> RungResult | None:
    """Of what changes no weight, what gained most."""
    found = [one for one in depth.results if is_context(one) and one.gain is not None]
    return max(found, key=lambda one: one.gain.value if one.gain else 0.0, default=None)


def _lost_sentence(depth: Depth, values: Mapping[str, float]) -> Iterator[Conclusion]:
    """Rungs that are seen to lose on the task itself."""
    lost = [
        f"{words_of(one)} {one.gain.points} points"
        for one in depth.results
        if one.gain is not None and one.gain.high < 0 and values.get(one.rung.key, 1.0) < LEVEL
    ]
    if lost:
        yield Conclusion(f"Seen to lose on the task itself: {_listed(lost)}.")


def _damage_sentences(depth: Depth, others: Sequence[RungResult]) -> Iterator[Conclusion]:
    """What is seen to break, a guard a sentence; or that nothing is, and what would have been."""
    figures = _compared(others)
    over = f"p by Holm over {len(figures)} comparisons"
    damaged = [(one, guard) for one, guard in figures if is_damaged(guard)]
    for name in [guard.name for guard in depth.plan.guards]:
        of_name = [(one, guard) for one, guard in damaged if guard.name == name]
        if not of_name:
            continue
        worst, guard = max(of_name, key=lambda pair: pair[1].loss.value if pair[1].loss else 0.0)
        where = f"on {len(of_name)} rungs, most on" if len(of_name) > 1 else "on"
        yield Conclusion(
            f"Seen to suffer: {name}, {where} {words_of(worst)}, {_loss_of(guard)} ({over})."
        )
    if figures and not damaged:
        damages = [guard for _, guard in figures]
        seen = smallest_words(depth.plan.guards, damages, len(damages))
        yield Conclusion(f"No damage is seen on any rung ({over}; {seen}).")


def _compared(results: Sequence[RungResult]) -> list[tuple[RungResult, GuardFigure]]:
    """Every guard's figure that is compared with bare's: Holm's correction is over all of them."""
    return [(one, guard) for one in results for guard in one.guards if guard.difference]


def _with_damage(depth: Depth, result: RungResult) -> str:
    """` at no measurable damage (…)`, or what it breaks, and what was not measured."""
    damaged = [guard for guard in result.guards if is_damaged(guard)]
    measured = [guard for guard in result.guards if guard.difference is not None]
    missing = [guard.name for guard in result.guards if guard.difference is None]
    left = f"; not measured: {', '.join(missing)}" if missing else ""
    if damaged:
        return f", at a loss: {', '.join(f'{one.name} {_loss_of(one)}' for one in damaged)}{left}"
    if not measured:
        return " (its damage was not measured)"
    names = {guard.name for guard in measured}
    guards = [guard for guard in depth.plan.guards if guard.name in names]
    seen = smallest_words(guards, measured, len(_compared(depth.results)))
    return f" at no measurable damage ({seen}{left})"


def _loss_of(guard: GuardFigure) -> str:
    unit = "nats a token" if guard.name == GENERAL_TEXT else "points"
    return f"{loss_words(guard)} {unit}"


def _listed(parts: Sequence[str]) -> str:
    more = [f"and {len(parts) - MOST_NAMED} more (in the table)"] if len(parts) > MOST_NAMED else []
    return "; ".join([*parts[:MOST_NAMED], *more])
