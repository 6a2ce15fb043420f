"""Scores and comparisons: what a list of attempts comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.evaluation import statistics as stats
from gptoss_magic.evaluation.suite import CUT, RIGHT, WRONG
from gptoss_magic.records.evaluations import ArmComparison, ArmScore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gptoss_magic.records.evaluations import Attempt

    Questions = dict[str, list[float]]

MOST_APART = 0.05  # of cut answers, between two arms that are compared


def scores_of(
    attempts: Iterable[Attempt], without: Collection[tuple[str, str]] = ()
) -> list[ArmScore]:
    """A score for each suite and arm, in the order they come; `without` these (suite, item)."""
    groups: dict[tuple[str, str], list[Attempt]] = {}
    for one in attempts:
        if (one.suite, one.item) not in without:
            groups.setdefault((one.suite, one.arm), []).append(one)
    return [_score(*key, group) for key, group in groups.items()]


def compared(
    attempts: Sequence[Attempt], arms: Sequence[str], *, force: bool = False, seed: int = 0
) -> list[ArmComparison]:
    """Each other arm against the first, suite by suite; p adjusted by Holm over all of them."""
    suites = dict.fromkeys(one.suite for one in attempts)
    made = [
        _compared([one for one in attempts if one.suite == suite], (arms[0], arm), force, seed)
        for suite in suites
        for arm in arms[1:]
        if {arms[0], arm} <= {one.arm for one in attempts if one.suite == suite}
    ]
    values = [one.p for one in made if one.p is not None]
    adjusted = iter(stats.holm(values))
    return [one if one.p is None else replace(one, p_all=next(adjusted)) for one in made]


def _score(suite: str, arm: str, attempts: Sequence[Attempt]) -> ArmScore:
    questions, num = _questions(attempts), len(attempts)
    tries = list(questions.values())
    num_tries = max(map(len, tries))
    if num_tries == 1:
        interval = stats.wilson(int(sum(map(sum, tries))), num)
    else:
        interval = stats.clustered(tries)
    return ArmScore(
        suite,
        arm,
        num_items=len(tries),
        num_answers=num,
        score=interval.value,
        low=interval.low,
        high=interval.high,
        wrong=_share(attempts, WRONG),
        cut=_share(attempts, CUT),
        tokens=sum(one.num_tokens for one in attempts) / num,
        some_right=_chances(tries, num_tries, all_right=False),
        all_right=_chances(tries, num_tries, all_right=True),
    )


def _chances(tries: Sequence[Sequence[float]], num: int, *, all_right: bool) -> tuple[float, ...]:
    """By k tries, from 1 on: the mean over the questions that had all their tries."""
    chance = stats.pass_hat_k if all_right else stats.pass_at_k
    whole = [int(sum(question)) for question in tries if len(question) == num]
    if num == 1:
        return ()
    return tuple(
        sum(chance(num, right, k) for right in whole) / len(whole) for k in range(1, num + 1)
    )


def _compared(
    attempts: Sequence[Attempt],
    names: tuple[str, str],
    force: bool,  # noqa: FBT001
    seed: int,
) -> ArmComparison:
    """The second arm against the first over what both answered, as often."""
    sides = [_questions(one for one in attempts if one.arm == name) for name in names]
    both = [item for item, tries in sides[0].items() if len(sides[1].get(item, ())) == len(tries)]
    means = [[sum(side[item]) / len(side[item]) for item in both] for side in sides]
    differences = [after - before for before, after in zip(*means, strict=True)]
    is_once = all(len(sides[0][item]) == 1 for item in both)
    made = ArmComparison(
        suite=attempts[0].suite,
        arm=names[1],
        base=names[0],
        num_items=len(both),
        better=sum(d > 0 for d in differences),
        worse=sum(d < 0 for d in differences),
        test="exact McNemar" if is_once else "paired permutation of question means",
    )
    refused = _why_not(attempts, names, both, force=force)
    return replace(made, refused=refused) if refused else _tested(made, differences, is_once, seed)


def _tested(
    made: ArmComparison,
    differences: Sequence[float],
    is_once: bool,  # noqa: FBT001
    seed: int,
) -> ArmComparison:
    if is_once or not any(differences):
        interval = stats.paired_share(made.better, made.worse, len(differences))
    else:
        interval = stats.bootstrap(differences, seed)
    p = stats.mcnemar(made.better, made.worse) if is_once else stats.permutation(differences, seed)
    return replace(
        made, difference=interval.value, low=interval.low, high=interval.high, p=p, p_all=p
    )


def _why_not(
    attempts: Sequence[Attempt], names: Sequence[str], both: Collection[str], *, force: bool
) -> str:
    """Why two arms are not compared; '' where they are."""
    if not both:
        return "no item was answered by both"
    kept = set(both)
    cut = [
        _share([one for one in attempts if one.arm == name and one.item in kept], CUT)
        for name in names
    ]
    if abs(cut[0] - cut[1]) <= MOST_APART + 1e-12 or force:
        return ""
    return (
        f"{cut[1]:.0%} of its answers are cut, {cut[0]:.0%} of {names[0]}'s: raise --max-tokens, "
        "or compare by --force"
    )


def _questions(attempts: Iterable[Attempt]) -> Questions:
    """By item: 1 for each try that is right, else 0, in their order."""
    questions: Questions = {}
    for one in sorted(attempts, key=lambda one: one.number):
        questions.setdefault(one.item, []).append(float(one.verdict == RIGHT))
    return questions


def _share(attempts: Sequence[Attempt], verdict: str) -> float:
    return sum(one.verdict == verdict for one in attempts) / len(attempts)
