"""Let every rank's backward reach as far down, whatever its texts touch.

Where ranks exchange something within the layers, each must come to each exchange, forward and
backward; a rank whose texts use no trained expert would have no backward at all.
Legend: T tokens, H hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.model.protocol import Model

LAYERS = "model.layers."


class _Anchored(torch.autograd.Function):
    """The hidden states as they are, with a place in the graph."""

    @staticmethod
    def forward(_ctx: Any, x: torch.Tensor, _anchor: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_ctx: Any, *grads: Any) -> Any:
        return grads[0], None


def anchor(model: Model, parts: Sequence[Any]) -> Callable[[], None]:
    """From the lowest trained layer up, hidden states have gradients; the result ends that."""
    layer = model.get_decoder().layers[first_layer(parts)]
    point = torch.zeros((), requires_grad=True, device=model.device)

    def before(_layer: Any, given: Any) -> Any:
        return (cast("Any", _Anchored).apply(given[0], point), *given[1:])

    return cast("Callable[[], None]", layer.register_forward_pre_hook(before).remove)


def first_layer(parts: Sequence[Any]) -> int:
    """The lowest layer that a part stands in; 0 for what stands before the layers."""
    trained = [part for part in parts if any(p.requires_grad for p in part.parameters())]
    if any(part.is_soft or not part.target.startswith(LAYERS) for part in trained):
        return 0
    return min((int(part.target.split(".")[2]) for part in trained), default=0)
