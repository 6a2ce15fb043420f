"""What must not break: small suites, each with a grader by rule, and general text."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.evaluation.suite import RIGHT, Suite, SuiteItem, Verdict, right_if
from gptoss_magic.evaluation.suites import open_suite
from gptoss_magic.evaluation.suites.bfcl import called
from gptoss_magic.evaluation.suites.own_items import same_answers
from gptoss_magic.records.depth import GENERAL_TEXT, DepthGuard
from gptoss_magic.studies.asks import means_of
from gptoss_magic.studies.depth import guard_items as items
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.records import Answer

TEXT = GENERAL_TEXT
FORM = "form"
OWN = "our own items"
TOKENS = 256  # of an answer, thought included
IN_SCRIPT = 0.5  # share of an answer's letters
SCRIPTS = {"KANA": ("HIRAGANA", "KATAKANA", "CJK")}


class FormSuite(Suite):
    """Well-formed answers: thought first, then said, and ended. What is cut is wrong here."""

    def grade(self, item: SuiteItem, answer: Answer) -> Verdict:  # noqa: ARG002
        """As `Suite.grade`; never 'cut'."""
        if answer.finish != "return":
            return right_if(False, f"ended by {answer.finish}")
        if not answer.analysis.strip():
            return right_if(False, "nothing in the analysis channel")
        if answer.repairs:
            return right_if(False, f"malformed: {answer.repairs[0]}")
        return right_if(bool(answer.final.strip()), "no final answer")


@dataclass(frozen=True)
class GuardKind:
    """A kind of guard: `num` items where nobody says how many, and what makes its suite."""

    words: str
    num: int
    suite: Callable[[int, int], Suite] | None


def _reasoning(num: int, seed: int) -> Suite:
    """reasoning-gym's puzzles where it is installed, else our own."""
    try:
        return open_suite("reasoning-gym", num, seed, means_of({}))
    except MissingPackage:
        made = tuple(items.reasoning_items(num, seed))

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        return same_answers(answer.final, [item.expected])

    return Suite("reasoning", made, grade, OWN, "the item's own answer", TOKENS)


def _calls(num: int, seed: int) -> Suite:
    made, wanted = items.call_items(num, seed)

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        return called(item.tools, wanted[item.id], answer.tool_calls)

    return Suite("tool calls", tuple(made), grade, OWN, "function and arguments", TOKENS)


def _refusals(num: int, seed: int) -> Suite:
    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        if items.REFUSED.search(answer.final.replace("’", "'")):
            return right_if(False, "it refuses")
        return right_if(item.expected in answer.final.casefold(), f"no {item.expected} in it")

    made = tuple(items.refusal_items(num, seed))
    return Suite("refusals", made, grade, OWN, "no words of refusal, the word asked for", TOKENS)


def _languages(num: int, _seed: int) -> Suite:
    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        share = share_in_script(answer.final, item.kind)
        return right_if(share >= IN_SCRIPT, f"{share:.0%} of its letters in that script")

    made = tuple(items.language_items(num))
    return Suite("languages", made, grade, OWN, "the script of its letters", TOKENS)


def _form(num: int, _seed: int) -> Suite:
    made = tuple(items.plain_items(num))
    return FormSuite(FORM, made, lambda item, answer: Verdict(RIGHT), OWN, "channels", TOKENS)


KINDS: Mapping[str, GuardKind] = {
    "reasoning": GuardKind("puzzles and sums", 24, _reasoning),
    "tool calls": GuardKind("the right function, the right arguments", 15, _calls),
    TEXT: GuardKind("minus nats a token on shipped texts", 13, None),
    "refusals": GuardKind("harmless asks are answered", 16, _refusals),
    "languages": GuardKind("answers in the language that was asked in", 13, _languages),
    FORM: GuardKind("thinks in analysis, then answers in final", 12, _form),
}


@dataclass(frozen=True)
class Guards:
    """The guards of a study: `suites` by guard, and so many general texts (0: none)."""

    about: tuple[DepthGuard, ...]
    suites: Mapping[str, Suite]
    num_texts: int = 0


def guards_of(numbers: Mapping[str, int | None], seed: int) -> Guards:
    """Those of {name: items, None: the usual number}; {} for all. Raises InputError."""
    from gptoss_magic.routing.baseline import conversations

    check_known("guard", numbers, KINDS)
    about, suites, num_texts = [], {}, 0
    for name in [name for name in KINDS if name in numbers or not numbers]:
        kind = KINDS[name]
        num = numbers.get(name) or kind.num
        if kind.suite is None:
            num = num_texts = min(num, len(conversations()))
            about.append(DepthGuard(name, kind.words, num, None))
            continue
        suite = replace(kind.suite(num, seed), name=name)
        num = len(suite.items)
        suites[name] = suite
        about.append(DepthGuard(name, f"{kind.words} ({suite.source})", num, None))
    return Guards(tuple(about), suites, num_texts)


def share_in_script(text: str, script: str) -> float:
    """The share of a text's letters that are of a script, by their names in Unicode."""
    letters = [letter for letter in text if letter.isalpha()]
    names = SCRIPTS.get(script, (script,))
    hits = sum(unicodedata.name(letter, "").startswith(names) for letter in letters)
    return hits / len(letters) if letters else 0.0


def check_same(before: tuple[DepthGuard, ...], now: tuple[DepthGuard, ...]) -> None:
    """Raise InputError where a study's guards are no longer what they were."""
    for old, new in zip(before, now, strict=False):
        if (old.words, old.num_items) != (new.words, new.num_items):
            raise InputError(
                f"guard {old.name}: it was {old.words}, and is {new.words} here; install what the "
                "study was begun with, or begin another one"
            )
