"""LoRA (arXiv 2106.09685) on the four projections of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods.method import AxolotlWords, LadderRung, Method, Rate, Sizes, ranks
from gptoss_magic.tuning.settings import MethodSettings, option
from gptoss_magic.tuning.shapes import projections, queries_width

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts

NAMES = ("q_proj", "k_proj", "v_proj", "o_proj")
RATE = Rate(2e-4, large=3e-4)


@dataclass(frozen=True)
class LoraSettings(MethodSettings):
    """A branch counts alpha / rank. Raises InputError unless both are above 0."""

    name = "lora"
    rank: int = option(8, ("-r", "--rank"), "rank of LoRA")
    alpha: float = option(16.0, ("-a", "--alpha"), "LoRA's alpha; the branch counts alpha / rank")

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise InputError(f"rank {self.rank}, alpha {self.alpha}: give numbers above 0")


def apply(model: Model, context: Context) -> list[Any]:
    """A part for each projection of each layer."""
    layers = range(model.config.num_hidden_layers)
    return attention_parts(model, context, layers)


def attention_parts(
    model: Model, context: Context, layers: Iterable[int], names: Iterable[str] = NAMES
) -> list[Any]:
    """`LinearLora` on `names` of `layers`; B is zero, so that nothing changes at first."""
    import torch

    from gptoss_magic.model.parts import LinearLora, kaiming

    parts = []
    for target in (f"model.layers.{i}.self_attn.{name}" for i in layers for name in names):
        linear = model.get_submodule(target)
        a_rK = kaiming(context.settings.rank, linear.in_features)
        b_Nr = torch.zeros(linear.out_features, context.settings.rank)
        parts.append(LinearLora(target, a_rK, b_Nr, context.scaling).to(model.device))
    return parts


def num_parameters(config: Config, rank: int, num_layers: int) -> int:
    """Numbers of LoRA on the four projections of so many layers."""
    return int(num_layers * rank * sum(n_in + n_out for n_in, n_out in projections(config)))


def branch_bytes(config: Config, num_inputs: int = 3) -> int:
    """In fp32: the inputs of q, k and v (`num_inputs` of them), and o's."""
    return int(4 * (num_inputs * config["hidden_size"] + queries_width(config)))


def _numbers(config: Config, settings: LoraSettings, _experts: Counts) -> int:
    return num_parameters(config, settings.rank, config["num_hidden_layers"])


METHOD = Method(
    name=LoraSettings.name,
    help="LoRA on attention's projections",
    settings=LoraSettings,
    apply=apply,
    sizes=Sizes(_numbers, branch_bytes),
    rate=RATE,
    axolotl=AxolotlWords(modules=NAMES, read={}),
    ladder=(LadderRung(7, "attention", "LoRA on attention", ranks(8, 2, 32)),),
)
