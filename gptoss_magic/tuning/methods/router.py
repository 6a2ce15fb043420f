"""The routers in full, as a difference from the base's: few numbers, and where tokens go moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.tuning.methods.context import Context


def apply(model: Any, _context: Context) -> list[Any]:
    """A `RouterDelta` of zeros beside each router."""
    import torch

    from gptoss_magic.model.branches import RouterDelta

    experts, hidden = model.config.num_local_experts, model.config.hidden_size
    return [
        RouterDelta(
            f"model.layers.{layer}.mlp.router", torch.zeros(experts, hidden), torch.zeros(experts)
        ).to(model.device)
        for layer in range(model.config.num_hidden_layers)
    ]
