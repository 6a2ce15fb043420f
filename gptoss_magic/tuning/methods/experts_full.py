"""One or two experts in full precision: unpacked copies of just those are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from gptoss_magic.tuning.methods.context import Context

MOST = 2


def apply(model: Any, context: Context) -> list[Any]:
    """`ExpertWeights` of the hot experts of the last layer that has some, at most two."""
    from gptoss_magic.model.branches import ExpertWeights

    number = context.settings.num_experts or 1
    if number > MOST:
        raise InputError(f"experts-full {number}: at most {MOST} are unpacked; use 'experts'")
    layers = [layer for layer, experts in enumerate(context.hot) if experts]
    if not layers:
        raise InputError("experts-full: the data's routing was not measured")
    target = f"model.layers.{layers[-1]}.mlp.experts"
    module = model.get_submodule(target)
    return [
        ExpertWeights(target, expert, unpacked(module, expert)).to(model.device)
        for expert in list(context.hot[layers[-1]])[:number]
    ]


def unpacked(module: Any, expert: int) -> dict[str, Any]:
    """fp32 W [N, K] and bias [N] of both projections of one expert, packed or bf16."""
    from gptoss_magic.model.branches import PROJECTIONS
    from gptoss_magic.model.mxfp4 import unpack

    found = {}
    for name in PROJECTIONS:
        if hasattr(module, "packed"):
            packed, bias = module.packed(name)
            found[name] = unpack(packed.blocks[expert], packed.scales[expert]).float()
        else:
            bias = getattr(module, f"{name}_bias")
            found[name] = getattr(module, name)[expert].T.float().contiguous()
        found[f"{name}_bias"] = bias[expert].float().clone()
    return found
