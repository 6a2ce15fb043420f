"""What an evaluation plans, answers, and comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gptoss_magic.errors import MissingPackage


@dataclass(frozen=True)
class SuitePlan:
    """One suite of an evaluation. `smallest`: the least difference of two arms that is seen in four
    of five such runs, where they differ in a tenth of the items.
    """

    name: str
    num_items: int
    source: str
    graded_by: str
    max_tokens: int
    smallest: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationPlan:
    """What is to be answered, before anything is. `seed` draws items and every try's own seed.

    `num_tokens`: of all answers, at most; `seconds` for so many, None where nothing is known.
    `kept`: answers that the journal has.
    """

    suites: tuple[SuitePlan, ...]
    arms: tuple[str, ...]
    tries: int
    seed: int
    date: str
    temperature: float
    num_answers: int
    num_tokens: int
    kept: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Attempt:
    """One try (from 0) of one item by one arm. `verdict` is 'right', 'wrong' or 'cut'.

    Of a private item the texts are ''; `seed` is the sampler's.
    """

    suite: str
    item: str
    arm: str
    number: int
    seed: int
    verdict: str
    note: str
    finish: str
    num_tokens: int
    analysis_tokens: int
    kind: str = ""
    prompt: str = ""
    expected: str = ""
    analysis: str = ""
    final: str = ""
    private: bool = False


@dataclass(frozen=True)
class ArmScore:
    """One arm over one suite, in shares of its answers. `score` is what is right, in 95 % bounds.

    `some_right[k - 1]`: chance that one of k tries is right, `all_right` that all are.
    `tokens` an answer, in the mean.
    """

    suite: str
    arm: str
    num_items: int
    num_answers: int
    score: float
    low: float
    high: float
    wrong: float
    cut: float
    tokens: float
    some_right: tuple[float, ...] = ()
    all_right: tuple[float, ...] = ()


@dataclass(frozen=True)
class ArmComparison:
    """`arm` against `base` over the items that both answered, paired; `difference` of the scores.

    `better` items went from wrong to right, `worse` from right to wrong. `p_all`: p by Holm over
    all comparisons of the evaluation. `refused`: why there is none; then the numbers are None.
    """

    suite: str
    arm: str
    base: str
    num_items: int
    better: int
    worse: int
    test: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_all: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class SharedText:
    """An item that shares text with a tuning row: `how` is '13 words' or 'the answer'."""

    suite: str
    item: str
    row: str
    how: str


@dataclass(frozen=True)
class RoutingParting:
    """The first place where two answers are routed apart, of tokens that are the same.

    `token` (from 0, of the prompt or of the answer), its `layer` (from 0) and `text`; the experts
    of either side. None where they part nowhere, before the tokens do, behind `num_same` of them.
    `is_repeated`: both answers came out as they were recorded.
    """

    token: int | None
    layer: int | None
    before: tuple[int, ...]
    after: tuple[int, ...]
    text: str
    is_prompt: bool
    num_same: int
    is_repeated: bool


@dataclass(frozen=True)
class Evaluated:
    """An evaluation. `finish` is 'return' or 'interrupt': then its figures are interim.

    `shared`: items that share text with tuning rows; `apart` are the scores without them, () where
    nothing is shared. `provenance`: model, server, settings and graders, to run it again.
    """

    plan: EvaluationPlan
    attempts: tuple[Attempt, ...] = field(repr=False)
    scores: tuple[ArmScore, ...]
    comparisons: tuple[ArmComparison, ...] = ()
    shared: tuple[SharedText, ...] = ()
    apart: tuple[ArmScore, ...] = ()
    finish: str = "return"
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)

    def to_frame(self) -> Any:
        """A pandas DataFrame, an answer a row. Raises MissingPackage."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackage("frames need pandas: pip install gptoss_magic[map]") from error
        return pd.DataFrame([vars(one) for one in self.attempts])

    def score(self, suite: str, arm: str) -> ArmScore:
        """The score of an arm. Raises KeyError where it answered nothing."""
        for one in self.scores:
            if (one.suite, one.arm) == (suite, arm):
                return one
        raise KeyError((suite, arm))

    def flips(self) -> list[tuple[Attempt, Attempt]]:
        """Answers of the first arm and of another that differ in being right: lost ones first."""
        first = {
            (one.suite, one.item, one.number): one
            for one in self.attempts
            if one.arm == self.plan.arms[0]
        }
        pairs = [
            (first[key], one)
            for one in self.attempts
            if one.arm != self.plan.arms[0] and (key := (one.suite, one.item, one.number)) in first
        ]
        flipped = [
            pair for pair in pairs if (pair[0].verdict == "right") != (pair[1].verdict == "right")
        ]
        return sorted(flipped, key=lambda pair: pair[0].verdict != "right")
