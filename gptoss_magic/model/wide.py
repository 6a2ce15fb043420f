"""bf16 products on CPUs without bf16 arithmetic: multiplied in fp32, rounded once.

Such a CPU (AVX2, most laptops) multiplies bf16 matrices 4 to 7 times slower than fp32 ones, the
conversion included.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.nn.functional import linear


def is_slow(x: torch.Tensor) -> bool:
    """True where torch's own bf16 product of `x` would be slow."""
    return (
        x.dtype == torch.bfloat16
        and x.device.type == "cpu"
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


class WideLinear(torch.autograd.Function):
    """x·Wᵀ + b in fp32, in x's dtype. x [..., K], W [N, K], b [N] or None.

    Saves no fp32 copy, and x for W's gradient alone.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, w_NK: Any, bias: Any) -> torch.Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, w_NK)
        wide = None if bias is None else bias.float()
        return linear(x.float(), w_NK.float(), wide).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        (dy,), (x, w_NK), (needs_x, needs_w, needs_bias) = (
            grads,
            ctx.saved_tensors,
            ctx.needs_input_grad,
        )
        kind, dy = dy.dtype, dy.float()
        rows_SN = dy.reshape(-1, dy.shape[-1])
        dx = (dy @ w_NK.float()).to(kind) if needs_x else None
        dw = None
        if needs_w:
            dw = (rows_SN.T @ x.reshape(-1, x.shape[-1]).float()).to(w_NK.dtype)
        return dx, dw, rows_SN.sum(0).to(kind) if needs_bias else None


def wide_linear(x: torch.Tensor, w_NK: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`torch.nn.functional.linear`, by way of fp32."""
    y: torch.Tensor = cast("Any", WideLinear).apply(x, w_NK, bias)
    return y
