"""What a run trains and how: frozen settings, checked when made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class MethodSettings:
    """What the settings of all methods have; each method adds its own options beside its `apply`.

    `name` is the method's. An option is a field made by `option`, so that a magic can offer it.
    """

    name: ClassVar[str] = ""

    @property
    def by_routing(self) -> bool:
        """True where the data's routing chooses what is trained."""
        return False

    @property
    def is_8_bit(self) -> bool | None:
        """Whether AdamW's means are in 8 bits; None: as the trainer chooses."""
        return None

    def with_experts(self, number: int) -> MethodSettings | None:  # noqa: ARG002
        """The same with `number` experts of each layer; None where it has no such choice."""
        return None

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {"name": self.name, **asdict(self)}


def option(default: Any, flags: tuple[str, str], words: str, choices: Sequence[str] = ()) -> Any:
    """A field of a method's settings, with what a command line says of it."""
    about = {"flags": flags, "help": words, "choices": tuple(choices)}
    return field(default=default, metadata=about)


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
        numbers = (self.learning_rate, self.epochs, self.num_steps)
        if not all(map(math.isfinite, numbers)) or min(numbers) < 0 or self.epochs == 0:
            raise InputError("learning rate, epochs and steps: give numbers above 0")
        if min(self.step_tokens, self.max_tokens) < 8 or self.eval_every < 1:
            raise InputError("give a step and a sequence 8 tokens or more, eval_every 1 or more")
        if not 0 <= self.held_out < 1 or not 0 <= self.warmup < 1 or not 0 <= self.floor <= 1:
            raise InputError("held_out, warmup and floor: give shares from 0 to below 1")

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)
