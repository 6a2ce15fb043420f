"""LoRA (arXiv 2106.09685) on the four projections of attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.tuning.methods.context import Context

NAMES = ("q_proj", "k_proj", "v_proj", "o_proj")


def apply(model: Any, context: Context) -> list[Any]:
    """A part for each projection of each layer."""
    layers = range(model.config.num_hidden_layers)
    return attention_parts(model, context, layers)


def attention_parts(
    model: Any, context: Context, layers: Iterable[int], names: Iterable[str] = NAMES
) -> list[Any]:
    """`LinearLora` on `names` of `layers`; B is zero, so that nothing changes at first."""
    import torch

    from gptoss_magic.model.branches import LinearLora, kaiming

    parts = []
    for target in (f"model.layers.{i}.self_attn.{name}" for i in layers for name in names):
        linear = model.get_submodule(target)
        a_rK = kaiming(context.settings.rank, linear.in_features)
        b_Nr = torch.zeros(linear.out_features, context.settings.rank)
        parts.append(LinearLora(target, a_rK, b_Nr, context.scaling).to(model.device))
    return parts
