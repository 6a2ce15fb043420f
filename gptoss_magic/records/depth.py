"""The depth study: what each means of specialising gains on a task, and what it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.records.evaluations import Attempt

BARE = "bare"
GENERAL_TEXT = "general text"  # the guard whose scores are minus nats a token


def signed(value: float, digits: int, sign: str = "+") -> str:
    """A number with a true minus; '…' for what is not finite."""
    if not math.isfinite(value):
        return "…"
    rounded = round(value, digits)
    return f"{rounded + 0.0:{sign if rounded else ''}.{digits}f}".replace("-", "−")


@dataclass(frozen=True)
class Bounds:
    """A figure in 95 % bounds."""

    value: float
    low: float
    high: float

    @property
    def points(self) -> str:
        """`+31 [22, 40]` of a difference of shares."""
        return f"{signed(100 * self.value, 0)} {self._ends}"

    @property
    def percent(self) -> str:
        """`71 % [58, 82]` of a share."""
        return f"{signed(100 * self.value, 0, '')} % {self._ends}"

    @property
    def _ends(self) -> str:
        return f"[{signed(100 * self.low, 0, '')}, {signed(100 * self.high, 0, '')}]"


@dataclass(frozen=True)
class Rung:
    """One intervention at one strength. `key`, such as 'hot-r8', is its name in runs and lines.

    `step`: its place on the ladder, 0 (bare) to 13; `name`: in words ('LoRA on hot experts');
    `strength`: in words ('rank 8'). `trains`: whether it changes weights. `parts`: keys of the
    rungs that a combination is made of. `seconds`: what the plan expects of it, all told.
    """

    key: str
    step: int
    name: str
    strength: str
    trains: bool
    parts: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Dropped:
    """A rung that is not run, and why: no budget, no memory, nothing in the task to make it of."""

    rung: Rung
    why: str


@dataclass(frozen=True)
class DepthGuard:
    """What must not break. `smallest`: the least damage that so many items can show."""

    name: str
    words: str
    num_items: int
    smallest: float | None


@dataclass(frozen=True)
class DepthPlan:
    """What is to be tried, before anything is. `seconds` is the budget, `expected` what it takes.

    `smallest`: the least gain that `num_held_out` rows can show. `memory`: bytes at most.
    `notes`: what of the rows was not read, mended or left out, and what to beware of, a line each.
    """

    task: str
    num_train: int
    num_held_out: int
    graded_by: str
    rungs: tuple[Rung, ...]
    dropped: tuple[Dropped, ...]
    guards: tuple[DepthGuard, ...]
    seed: int
    seconds: float
    expected: float
    smallest: float
    memory: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuardFigure:
    """A guard on one rung: its score, and the difference from bare, paired over the same items.

    Scores are shares that are right (higher is better), but for 'general text': minus nats a
    token. `p` is Holm's over the guards of all rungs. `difference` and `p` are None for bare, and
    where `refused` says why there is none.
    """

    name: str
    score: Bounds
    difference: Bounds | None = None
    p: float | None = None
    refused: str = ""

    @property
    def loss(self) -> Bounds | None:
        """What is lost against bare: a share of right answers. Of general text it is the share of
        each token's probability, 1 - exp(difference). None where there is no difference.
        """
        if self.difference is None:
            return None
        one = self.difference
        if self.name != GENERAL_TEXT:
            return Bounds(-one.value, -one.high, -one.low)
        return Bounds(*(-math.expm1(min(x, 50.0)) for x in (one.value, one.high, one.low)))


@dataclass(frozen=True)
class RungResult:
    """What a rung came to. `score`: the task on held-out rows; `gain`: against bare, paired.

    `kl`: to the base on general text, nats a token; `drift`: of routing, Jensen-Shannon in [0, 1];
    `thinking`: tokens of reasoning an answer, against bare. `trained` numbers; `size`: bytes to
    share; `seconds` to make it (not to measure it); `extra_tokens`: read and written an answer,
    beyond bare. `run`: the tuning run that made it, '' where none did; `persona`: the text's file.
    `attempts`: the task's answers.
    """

    rung: Rung
    score: Bounds
    gain: Bounds | None
    guards: tuple[GuardFigure, ...]
    kl: Bounds | None
    drift: float | None
    thinking: Bounds | None
    trained: int
    size: int
    seconds: float
    extra_tokens: float
    run: str = ""
    persona: str = ""
    attempts: tuple[Attempt, ...] = field(default=(), repr=False)

    @property
    def damage(self) -> Bounds | None:
        """The loss of the worst guard; `high` is the highest end of any guard's. None where no
        guard was measured, nothing for bare.
        """
        losses = [loss for one in self.guards if (loss := one.loss) is not None]
        if self.rung.key == BARE:
            return Bounds(0.0, 0.0, 0.0)
        if not losses:
            return None
        worst = max(losses, key=lambda loss: loss.value)
        return Bounds(worst.value, worst.low, max(loss.high for loss in losses))


@dataclass(frozen=True)
class Conclusion:
    """One sentence that the intervals carry. `verdict` of a claim: 'holds here', 'does not hold
    here', 'not decided here', 'not tried here'; '' for a sentence that is no claim of ours.
    """

    words: str
    claim: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Depth:
    """A depth study. `results[0]` is bare. `frontier`: keys that no cheaper rung beats.

    `finish` is 'return' or 'interrupt': then it is interim, and goes on by `resume`.
    """

    plan: DepthPlan
    results: tuple[RungResult, ...]
    frontier: tuple[str, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    finish: str = "return"
    folder: str = ""
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
