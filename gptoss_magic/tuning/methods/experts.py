"""LoRA on chosen experts: those that the data's routing uses (ESFT, arXiv 2407.01906; HELLoRA)."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods import lora
from gptoss_magic.tuning.methods.context import last_layers
from gptoss_magic.tuning.methods.method import AxolotlWords, LadderRung, Method, Sizes, ranks
from gptoss_magic.tuning.settings import option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts

CHOICES = ("hot", "random", "all")
TARGETS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")  # as peft calls them


@dataclass(frozen=True)
class ExpertsSettings(lora.LoraSettings):
    """Which experts: 'hot' (those that the data uses), as many 'random' ones, or 'all'.

    Hot ones up to a `coverage` of each layer's routes, or `num_experts` of each layer (0: by
    coverage); of the last `num_layers` layers, 0 for every layer. Raises InputError.
    """

    name = "experts"
    choice: str = option("hot", ("-C", "--choice"), "which experts", CHOICES)
    coverage: float = option(
        0.5, ("-g", "--coverage"), "experts: a layer's hot ones up to this share"
    )
    num_experts: int = option(0, ("-x", "--num-experts"), "experts: so many of each layer")
    num_layers: int = option(0, ("-y", "--layers"), "only the last so many layers")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.choice not in CHOICES:
            raise InputError(f"experts {self.choice!r}: give hot, random or all")
        if not 0 < self.coverage <= 1:
            raise InputError(f"coverage {self.coverage}: give a share above 0, at most 1")
        if min(self.num_experts, self.num_layers) < 0:
            raise InputError("numbers of experts and layers start at 0; give 0 or more")

    @property
    def by_routing(self) -> bool:
        return self.choice != "all"

    def with_experts(self, number: int) -> ExpertsSettings:
        return replace(self, choice="hot", num_experts=number)


def apply(model: Model, context: Context) -> list[Any]:
    """Both projections of the chosen experts of each layer (or of the last `num_layers`)."""
    layers = last_layers(model, context.settings.num_layers)
    chosen = chosen_experts(model, context)
    return expert_parts(model, context, {i: chosen[i] for i in layers if chosen[i]})


def chosen_experts(model: Model, context: Context) -> dict[int, list[int]]:
    """By layer, ascending: hot ones, as many random ones as there would be hot ones, or all."""
    num_experts, settings = model.config.num_local_experts, context.settings
    layers = range(model.config.num_hidden_layers)
    if settings.choice == "all":
        return {layer: list(range(num_experts)) for layer in layers}
    if len(context.hot) != len(layers):
        raise InputError("experts hot or random: the data's routing was not measured; give 'all'")
    if settings.num_experts > num_experts:
        raise InputError(f"{settings.num_experts} experts: a layer has {num_experts}; give fewer")
    hot = [list(experts)[: settings.num_experts or None] for experts in context.hot]
    if settings.choice == "random":
        draw = random.Random(context.seed)  # noqa: S311 (a choice to repeat, not a secret)
        hot = [draw.sample(range(num_experts), len(experts)) for experts in hot]
    return {layer: sorted(hot[layer]) for layer in layers}


def expert_parts(model: Model, context: Context, experts: Mapping[int, Sequence[int]]) -> list[Any]:
    """`ExpertLora` on both projections of `experts` by layer; B is zero."""
    import torch

    from gptoss_magic.model.parts import ExpertLora, kaiming

    hidden, inner = model.config.hidden_size, model.config.intermediate_size
    rank, parts = context.settings.rank, []
    for layer, chosen in experts.items():
        target = f"model.layers.{layer}.mlp.experts"
        for name, sizes in (("gate_up_proj", (hidden, 2 * inner)), ("down_proj", (inner, hidden))):
            a = kaiming(len(chosen), rank, sizes[0])
            b = torch.zeros(len(chosen), sizes[1], rank)
            part = ExpertLora(target, name, chosen, (a, b), context.scaling)
            parts.append(part.to(model.device))
    return parts


def hot_experts(scores: Any, settings: ExpertsSettings) -> list[list[int]]:
    """By layer, hottest first: a number of each, or up to the coverage. `scores`: the routing's."""
    if settings.num_experts:
        return scores.hot(num_experts=settings.num_experts)  # type: ignore[no-any-return]
    return scores.hot(coverage=settings.coverage)  # type: ignore[no-any-return]


def num_trained_experts(
    config: Config, settings: ExpertsSettings, experts: Counts = None
) -> list[int]:
    """By layer: how many experts have LoRA.

    Without a measured routing hot and random ones are an upper estimate: the `coverage` hottest
    share of a layer's experts has at least that share of its routes.
    """
    layers, total = config["num_hidden_layers"], config["num_local_experts"]
    most = settings.num_experts or math.ceil(settings.coverage * total)
    counts = [total] * layers if settings.choice == "all" else list(experts or [most] * layers)
    first = layers - (settings.num_layers or layers)
    return [0 if layer < first else count for layer, count in enumerate(counts)]


def num_parameters(config: Config, rank: int, num_experts: int) -> int:
    """Numbers of LoRA on both projections of so many experts in all."""
    each = 2 * config["hidden_size"] + 3 * config["intermediate_size"]
    return num_experts * rank * int(each)


def branch_bytes(config: Config) -> int:
    """Of the k routes, the inputs of both projections in bf16."""
    width = config["hidden_size"] + config["intermediate_size"]
    return int(2 * config["num_experts_per_tok"] * width)


def numbers(config: Config, settings: ExpertsSettings, experts: Counts) -> int:
    """Numbers that are trained, see `num_trained_experts`."""
    return num_parameters(
        config, settings.rank, sum(num_trained_experts(config, settings, experts))
    )


def reached(config: Config, settings: ExpertsSettings) -> int:
    """The last `num_layers` layers, or all."""
    layers: int = config["num_hidden_layers"]
    return min(layers, settings.num_layers or layers)


def unsaid(settings: ExpertsSettings, experts: Counts) -> list[str]:
    """What Axolotl's YAML cannot say: which experts."""
    if settings.choice == "all":
        return []
    counted = f" ({sum(experts)} in {len(experts)} layers)" if experts else ""
    return [f"{settings.choice} experts{counted}: every expert of each layer is trained"]


def _unsaid(settings: ExpertsSettings, experts: Counts) -> list[str]:
    lost = unsaid(settings, experts)
    if settings.num_layers:
        lost.append(f"the last {settings.num_layers} layers alone: every layer is trained")
    return lost


METHOD = Method(
    name=ExpertsSettings.name,
    help="LoRA on the experts that the rows use",
    settings=ExpertsSettings,
    apply=apply,
    sizes=Sizes(numbers, branch_bytes, reached),
    rate=lora.RATE,
    hot=hot_experts,
    axolotl=AxolotlWords(parameters=TARGETS, unsaid=_unsaid, read={"choice": "all"}),
    ladder=tuple(
        LadderRung(9, choice, f"LoRA on {choice} experts", ranks(8, 2, 32), {"choice": choice})
        for choice in ("hot", "random", "all")
    ),
)
