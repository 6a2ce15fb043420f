"""What a run trains and how: frozen settings, checked when made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gptoss_magic.errors import InputError

METHODS = (
    "experts",
    "lora",
    "router",
    "router+experts",
    "experts-full",
    "last-layers",
    "heads",
    "adalora",
    "prompt",
    "prefix",
)


@dataclass(frozen=True)
class MethodSettings:
    """What is trained. Fields that a method does not use are left at their defaults.

    `choice` of experts: 'hot' (those that the data uses), 'random' or 'all'; hot ones up to a
    `coverage` of each layer's routes, or `num_experts` of each layer. `num_layers`: of the last
    layers ('last-layers'; for 'experts' 0 means every layer). `num_heads`: attention heads in all.
    `num_virtual`: virtual tokens of a soft prompt or prefix.
    """

    name: str = "experts"
    rank: int = 8
    alpha: float = 16.0
    choice: str = "hot"
    coverage: float = 0.5
    num_experts: int = 0
    num_layers: int = 0
    num_heads: int = 8
    num_virtual: int = 16

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise InputError(f"method {self.name!r}: there are {', '.join(METHODS)}")
        if self.choice not in ("hot", "random", "all"):
            raise InputError(f"experts {self.choice!r}: give hot, random or all")
        if not 0 < self.coverage <= 1:
            raise InputError(f"coverage {self.coverage}: give a share above 0, at most 1")
        if self.rank < 1 or self.alpha <= 0:
            raise InputError(f"rank {self.rank}, alpha {self.alpha}: give numbers above 0")
        if min(self.num_experts, self.num_layers) < 0 or min(self.num_heads, self.num_virtual) < 1:
            raise InputError("numbers of experts and layers start at 0, of heads and tokens at 1")

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)


@dataclass(frozen=True)
class TrainSettings:
    """How it is trained. `learning_rate` 0 and `num_steps` 0: chosen by the plan.

    A step sees `step_tokens` tokens, in sequences of at most `max_tokens` (short rows share one).
    `warmup` and `floor`: shares of the steps and of the rate; the rate falls along a cosine.
    `held_out`: share of the rows kept for the held-out loss, measured every `eval_every` steps.
    """

    learning_rate: float = 0.0
    epochs: float = 1.0
    num_steps: int = 0
    step_tokens: int = 1024
    max_tokens: int = 1024
    warmup: float = 0.03
    floor: float = 0.1
    held_out: float = 0.1
    eval_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.learning_rate < 0 or self.epochs <= 0 or self.num_steps < 0:
            raise InputError("learning rate, epochs and steps are numbers above 0")
        if min(self.step_tokens, self.max_tokens) < 8 or self.eval_every < 1:
            raise InputError("a step and a sequence have 8 tokens or more, eval_every is 1 or more")
        if not 0 <= self.held_out < 1 or not 0 <= self.warmup < 1 or not 0 <= self.floor <= 1:
            raise InputError("held_out, warmup and floor are shares from 0 to below 1")

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)
