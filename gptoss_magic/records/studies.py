"""What maps and comparisons give, and what training tells at each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.records.answers import Answer
    from gptoss_magic.records.provenance import Provenance


@dataclass(frozen=True)
class Mapped:
    """What a map did. Of `rows`, `done` have an answer or an error; `kept` were in the journal.

    `finish` is 'return' or 'interrupt'. `failed` have an error, `why` is the first of these.
    `journal` is a folder. In `num_broken` rows half a character (a lone surrogate) was read as
    U+FFFD.
    """

    rows: int
    done: int
    kept: int
    failed: int
    finish: str
    completion_tokens: int
    total_s: float
    journal: str
    provenance: Provenance
    num_broken: int = 0
    keys: tuple[str, ...] = field(default=(), repr=False)
    why: str = ""


@dataclass(frozen=True)
class AdapterComparison:
    """One prompt on the bare base ('base') and beside adapters, by name.

    `likelihoods[a][b]`: mean log-likelihood, in nats a token, of a's answer under b.
    """

    prompt: str
    answers: dict[str, Answer]
    likelihoods: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Drift:
    """Routing on a fixed probe text against the base model's; means over layers.

    `entropy` of the load in nats (log E is even), `share` of routes that go to the trained experts
    (None where no expert is), `distance`: Jensen-Shannon, in [0, 1], from the base model.
    """

    entropy: float
    share: float | None
    distance: float


@dataclass(frozen=True)
class SuiteProbe:
    """A suite in the middle of a run: the share that is right, before it (`base`) and now.

    `difference`, paired, in 95 % bounds, with its p; `cut`: the share of answers that were cut.
    None where too many were cut to compare.
    """

    score: float
    base: float
    cut: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class RankStep:
    """One rank's share of a step: `loss` in nats per trained token of its own, None without any.

    `tokens_per_s`: while it worked itself, waiting for the others left out. `memory`: bytes at its
    peak so far. `load`: of its tokens' routes, the share of the busiest expert, mean over layers.
    """

    tokens: int
    loss: float | None
    tokens_per_s: float
    memory: int
    load: float = 0.0


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step, counted from 1. Losses are nats per trained token, before the step.

    `memory`: bytes at the peak so far. `probe`: of the weights behind the step. `ranks`: what each
    process did of it, where a run has several.
    """

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_s: float
    memory: int
    eval_loss: float | None = None
    drift: Drift | None = None
    probe: SuiteProbe | None = None
    ranks: tuple[RankStep, ...] = ()


@dataclass(frozen=True)
class Example:
    """One training text: token ids, and which of them are trained (the loss mask)."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
