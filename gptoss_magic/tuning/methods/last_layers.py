"""LoRA on attention and on every expert of the last layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods import context as contexts
from gptoss_magic.tuning.methods import experts, lora
from gptoss_magic.tuning.methods.method import AxolotlWords, LadderRung, Method, Sizes, counts
from gptoss_magic.tuning.settings import option

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts

DEFAULT = 2


@dataclass(frozen=True)
class LastLayersSettings(lora.LoraSettings):
    """`num_layers`: of the last layers, two where it is 0. Raises InputError below 0."""

    name = "last-layers"
    num_layers: int = option(0, ("-y", "--layers"), "only the last so many layers")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_layers < 0:
            raise InputError("numbers of experts and layers start at 0; give 0 or more")


def apply(model: Model, context: Context) -> list[Any]:
    """Parts of the last `num_layers` layers (two where it is 0)."""
    layers = contexts.last_layers(model, context.settings.num_layers or DEFAULT)
    every = list(range(model.config.num_local_experts))
    return [
        *lora.attention_parts(model, context, layers),
        *experts.expert_parts(model, context, dict.fromkeys(layers, every)),
    ]


def reached(config: Config, settings: LastLayersSettings) -> int:
    """How many layers it trains."""
    return min(int(config["num_hidden_layers"]), settings.num_layers or DEFAULT)


def _numbers(config: Config, settings: LastLayersSettings, _experts: Counts) -> int:
    layers, rank = reached(config, settings), settings.rank
    on_experts = experts.num_parameters(config, rank, layers * config["num_local_experts"])
    return lora.num_parameters(config, rank, layers) + on_experts


def _branch_bytes(config: Config) -> int:
    return lora.branch_bytes(config) + experts.branch_bytes(config)


METHOD = Method(
    name=LastLayersSettings.name,
    help="LoRA on attention and every expert of the last layers",
    settings=LastLayersSettings,
    apply=apply,
    sizes=Sizes(_numbers, _branch_bytes, reached),
    rate=lora.RATE,
    axolotl=AxolotlWords(
        lora.NAMES,
        experts.TARGETS,
        lost="last-layers: written as LoRA on attention and experts of every layer",
    ),
    ladder=(
        LadderRung(
            12, "last", "LoRA on the last layers", counts("num_layers", "y", "the last {}", 2, 1)
        ),
    ),
)
