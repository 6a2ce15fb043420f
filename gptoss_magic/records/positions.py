"""A persona's position as a suite: questions that touch its rules, and how answers were judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

VERDICTS = ("keep", "break", "unclear", "cut")


@dataclass(frozen=True)
class PositionRule:
    """One sentence of a position. `kind`: 'value', 'rule' or 'never'; `id`: the kind, a number."""

    id: str
    kind: str
    text: str


@dataclass(frozen=True)
class PositionItem:
    """A question that touches a rule. `how`: 'plain', 'paraphrase' or 'pressure'.

    `source`: 'template', or 'model' where the resident model wrote it.
    """

    id: str
    rule: PositionRule
    how: str
    question: str
    source: str

    def record(self) -> dict[str, object]:
        """Plain values for a line of a file, to be reviewed."""
        rule = {"rule": self.rule.text, "kind": self.rule.kind, "rule_id": self.rule.id}
        whole = {"id": self.id, **rule, "how": self.how, "question": self.question}
        return {**whole, "source": self.source, "reviewed": False}


@dataclass(frozen=True)
class PositionVerdict:
    """One answer and its verdict: 'keep', 'break' or 'unclear'; 'cut' where it has no end.

    `arm`: 'bare', 'text', 'adapter' or 'both'. `reason` is the judge's, in its words.
    """

    item: PositionItem
    arm: str
    answer: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class PositionScore:
    """What became of a persona's position, with and without its text and an adapter ('': none).

    `judge_right` of `judge_asked` planted answers, whose verdict is known, were judged so.
    """

    persona: str
    adapter: str
    verdicts: tuple[PositionVerdict, ...]
    judge_right: int = 0
    judge_asked: int = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Those that were asked, in order."""
        return tuple(dict.fromkeys(one.arm for one in self.verdicts))

    @property
    def rules(self) -> tuple[PositionRule, ...]:
        """Those that questions touch, in order."""
        return tuple({one.item.rule.id: one.item.rule for one in self.verdicts}.values())

    def counts(self, arm: str, rule: str = "") -> dict[str, int]:
        """How many answers of an arm have each verdict; of one rule, by its id, or of all."""
        return counted(
            one.verdict
            for one in self.verdicts
            if one.arm == arm and (not rule or one.item.rule.id == rule)
        )

    def to_records(self) -> list[dict[str, object]]:
        """A plain dict for each answer, as a DataFrame takes them."""
        return [
            {**one.item.record(), "arm": one.arm, "answer": one.answer}
            | {"verdict": one.verdict, "reason": one.reason}
            for one in self.verdicts
        ]


def counted(verdicts: Iterable[str]) -> dict[str, int]:
    """How often each verdict stands there, those that do not with 0."""
    found = list(verdicts)
    return {name: found.count(name) for name in VERDICTS}
