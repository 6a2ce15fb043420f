"""Contamination: items whose text stands in the rows that a model was tuned on."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from gptoss_magic.records.evaluations import SharedText

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gptoss_magic.evaluation.suite import Suite, SuiteItem

RUN = 13  # words
SHORTEST = 12  # characters of an answer that is no coincidence
WORD = re.compile(r"\w+")


class TunedTexts:
    """Rows to look items up in: {what a row is called: (its text, its last answer)}."""

    def __init__(self, rows: Mapping[str, tuple[str, str]]) -> None:
        self.runs: dict[tuple[str, ...], str] = {}
        self.answers: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        for name, (text, answer) in rows.items():
            words = _words(text)
            self.texts[name] = f" {' '.join(words)} "
            self.answers.setdefault(" ".join(_words(answer)), name)
            for run in _runs(words):
                self.runs.setdefault(run, name)

    def shared(self, suites: Iterable[Suite]) -> list[SharedText]:
        """The items that share 13 words in a row, the whole question, or the exact answer.

        An answer counts where it is long enough to be no coincidence.
        """
        found = [
            SharedText(suite.name, item.id, *hit)
            for suite in suites
            for item in suite.items
            if (hit := self._hit(item)) is not None
        ]
        return found if self.texts else []

    def _hit(self, item: SuiteItem) -> tuple[str, str] | None:
        """(the row, how), or None."""
        words = _words(item.prompt)
        for run in _runs(words):
            if run in self.runs:
                return self.runs[run], f"{RUN} words"
        question, answer = f" {' '.join(words)} ", " ".join(_words(item.expected))
        for name, text in self.texts.items():
            if words and question in text:
                return name, "the question"
        if len(answer) >= SHORTEST and answer in self.answers:
            return self.answers[answer], "the answer"
        return None


def _runs(words: list[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1))


def _words(text: str) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())
