"""LoRA on chosen experts: those that the data's routing uses (ESFT, arXiv 2407.01906; HELLoRA)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods.context import last_layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.tuning.methods.context import Context


def apply(model: Any, context: Context) -> list[Any]:
    """Both projections of the chosen experts of each layer (or of the last `num_layers`)."""
    layers = last_layers(model, context.settings.num_layers)
    chosen = chosen_experts(model, context)
    return expert_parts(model, context, {i: chosen[i] for i in layers if chosen[i]})


def chosen_experts(model: Any, context: Context) -> dict[int, list[int]]:
    """By layer, ascending: hot ones, as many random ones as there would be hot ones, or all."""
    num_experts, settings = model.config.num_local_experts, context.settings
    layers = range(model.config.num_hidden_layers)
    if settings.choice == "all":
        return {layer: list(range(num_experts)) for layer in layers}
    if len(context.hot) != len(layers):
        raise InputError("experts hot or random: the data's routing was not measured; give 'all'")
    if settings.num_experts > num_experts:
        raise InputError(f"{settings.num_experts} experts: a layer has {num_experts}")
    hot = [list(experts)[: settings.num_experts or None] for experts in context.hot]
    if settings.choice == "random":
        draw = random.Random(context.seed)  # noqa: S311 (a choice to repeat, not a secret)
        hot = [draw.sample(range(num_experts), len(experts)) for experts in hot]
    return {layer: sorted(hot[layer]) for layer in layers}


def expert_parts(model: Any, context: Context, experts: Mapping[int, Sequence[int]]) -> list[Any]:
    """`ExpertLora` on both projections of `experts` by layer; B is zero."""
    import torch

    from gptoss_magic.model.branches import ExpertLora, kaiming

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
