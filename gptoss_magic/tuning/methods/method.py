"""What a tuning method is: one frozen object that says all that others must know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.tuning.settings import MethodSettings

    Config = dict[str, Any]  # of the model, as its config.json
    Counts = Sequence[int] | None  # trained experts of each layer, where the routing was measured
    Step = tuple[Callable[[int, int], None], Callable[[], Any]]  # see `trainer.TrainingWork`

NARROW = 1024  # models less wide than this take higher rates


def fp32(_config: Config) -> int:
    """Bytes of a number."""
    return 4


def every_layer(config: Config, _settings: Any) -> int:
    """All layers of the model."""
    return int(config["num_hidden_layers"])


@dataclass(frozen=True)
class Sizes:
    """What a method counts and keeps, from shapes alone.

    `numbers(config, settings, experts)`: how many it trains. `branch_bytes(config)`: what autograd
    keeps of a token beside each reached layer for its branches. `reached(config, settings)`: layers
    from the first trained one up. `state_bytes`: of a trained number beside AdamW's means.
    `recomputes`: whether activations can be computed again in the backward.
    `trained_bytes(config)`: of a trained number, and as many of its gradient.
    """

    numbers: Callable[[Config, Any, Counts], int]
    branch_bytes: Callable[[Config], int]
    reached: Callable[[Config, Any], int] = every_layer
    state_bytes: int = 0
    recomputes: bool = True
    trained_bytes: Callable[[Config], int] = fp32


@dataclass(frozen=True)
class Rate:
    """Peak learning rates where none is given; docs/tuning-memory.md says where each comes from.

    `usual` at a width of 2880, `large` with more than 32 experts (0: the same); `narrow`: the
    factor for models less wide than `NARROW`.
    """

    usual: float
    large: float = 0.0
    narrow: float = 5.0

    def of(self, config: Config) -> float:
        """The rate for a model."""
        if config["hidden_size"] < NARROW:
            return self.usual * self.narrow
        return self.large or self.usual if config["num_local_experts"] > 32 else self.usual


@dataclass(frozen=True)
class AxolotlWords:
    """How Axolotl's YAML says the method: LoRA's target modules and parameters.

    `lost`: what the YAML cannot say of it; `unsaid(settings, experts)` the same by its settings.
    `read`: settings that the YAML means where these targets stand in it; None where another method
    is read then.
    """

    modules: Sequence[str] = ()
    parameters: Sequence[str] = ()
    lost: str = ""
    unsaid: Callable[[Any, Counts], list[str]] = lambda _settings, _experts: []
    read: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Strength:
    """How much of a method: `short` stands in names, `words` in tables, `options` in settings."""

    short: str
    words: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class LadderRung:
    """A rung of the depth study that a method makes.

    `step`: its place on the ladder, 6 to 12; `key` in names, `name` in words. `strengths`: the
    usual one first. `settings`: what is the same at each of them.
    """

    step: int
    key: str
    name: str
    strengths: tuple[Strength, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def ranks(*numbers: int) -> tuple[Strength, ...]:
    """Strengths by rank; a branch counts twice at each of them."""
    return tuple(Strength(f"r{n}", f"rank {n}", {"rank": n, "alpha": 2.0 * n}) for n in numbers)


def counts(option: str, short: str, words: str, *numbers: int) -> tuple[Strength, ...]:
    """Strengths by a number that `option` takes."""
    return tuple(Strength(f"{short}{n}", words.format(n), {option: n}) for n in numbers)


@dataclass(frozen=True)
class Method:
    """One tuning method. `settings` are its options, `help` a line on what it trains.

    `apply(model, context)` makes its parts. `hot(scores, settings)` chooses experts by layer from
    the data's routing, where `settings.by_routing`. `step(parts, settings)`: its own part of each
    step. `first`: the method of a stage that is trained before. `parts`: kinds of parts of its own,
    each made again of its description and zeros, for checkpoints. `axolotl` None: it has no words.
    `ladder`: what the depth study tries of it. `trains_all`: its parts stand in for every weight.
    `optimizer(weights, settings)`: its own one.
    """

    name: str
    help: str
    settings: type[MethodSettings]
    apply: Callable[[Any, Any], list[Any]]
    sizes: Sizes
    rate: Rate
    hot: Callable[[Any, Any], list[list[int]]] | None = None
    step: Callable[[Sequence[Any], Any], Step] | None = None
    first: str = ""
    parts: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Any]] = field(
        default_factory=dict
    )
    axolotl: AxolotlWords | None = None
    ladder: tuple[LadderRung, ...] = ()
    trains_all: bool = False
    optimizer: Callable[[list[Any], Any], Any] | None = None
