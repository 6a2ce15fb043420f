"""reasoning-gym: puzzles that are made anew by seed, so that no model has seen them.

The package's own `score_answer` grades; only a full score is right.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage, error_line
from gptoss_magic.evaluation.numbers import plain_number, read_number, short_answer
from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, right_if
from gptoss_magic.evaluation.suites.packages import version_of
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from gptoss_magic.evaluation.suite import Opening
    from gptoss_magic.records import Answer

NAME, NUM = "reasoning-gym", 50
# arithmetic, algebra, logic, games: short to say, and soon made
MIXED = "chain_sum+leg_counting+simple_equations+number_sequence+syllogism+countdown+mini_sudoku"
ASK = "\n\nThink first. Your final answer is the answer alone, without words around it."


def open_suite(opening: Opening) -> Suite:
    """Puzzles of the generators named by the part, in turn. Raises InputError, MissingPackage."""
    num, seed = opening.limit or NUM, opening.seed
    made = _generators((MIXED if opening.part == NAME else opening.part).split("+"), num, seed)
    items: list[SuiteItem] = []
    entries: dict[str, tuple[Any, Any]] = {}
    for number in range(num):
        name, dataset = made[number % len(made)]
        entry = dataset[number // len(made)]
        item = SuiteItem(
            f"{name}/{seed}/{number}", entry["question"], entry["answer"], ASK, kind=name
        )
        items.append(item)
        entries[item.id] = dataset, entry

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        dataset, entry = entries[item.id]
        return right_if(_is_right(dataset, entry, answer.final))

    return Suite(NAME, tuple(items), grade, version_of(NAME), f"{NAME}'s score_answer, 1 of 1")


def _is_right(dataset: Any, entry: dict[str, Any], final: str) -> bool:
    """By the package's own word, on what the answer comes to; numbers by ours as well."""
    with suppress(Exception):  # of its parsers, by what a model may say
        if dataset.score_answer(short_answer(final), entry) >= 1:
            return True
    wanted = plain_number(entry["answer"])
    found = read_number(final) if wanted is not None else None
    return found is not None and found.value == wanted


def _generators(names: list[str], num: int, seed: int) -> list[tuple[str, Any]]:
    try:
        from reasoning_gym import create_dataset
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise MissingPackage(
            "this suite needs reasoning-gym: pip install 'gptoss_magic[eval]' "
            f"({error_line(error)})"
        ) from error
    check_known("generator", names, DATASETS)
    size = -(-num // len(names))
    try:
        return [(name, create_dataset(name, seed=seed, size=size)) for name in names]
    except Exception as error:
        raise InputError(
            f"{NAME}: it makes no puzzles ({error_line(error)}); give the family's name and "
            "settings that it takes"
        ) from error
