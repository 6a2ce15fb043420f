"""gpt-oss' activation with its gradient, each in one pass where the C++ library is.

Legend: I intermediate size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gptoss_magic.model.backends import native

if TYPE_CHECKING:
    from gptoss_magic.model.backends import Native

READ_TURNED = {torch.bfloat16, torch.float32}  # what the C++ kernels read


class Swiglu(torch.autograd.Function):
    """gpt-oss' clamped activation (gate and up interleaved); saves its input alone."""

    @staticmethod
    def forward(ctx: Any, gate_up: Any, alpha: float, limit: float) -> torch.Tensor:
        ctx.save_for_backward(gate_up)
        ctx.alpha, ctx.limit = alpha, limit
        if library := _fused(gate_up):
            return library.activation(gate_up, None, alpha, limit)
        raw_gate, raw_up = apart(gate_up)
        gate = raw_gate.clamp(max=limit)
        up = raw_up.clamp(-limit, limit)
        glu: torch.Tensor = gate.mul(alpha).sigmoid_().mul_(gate).mul_(up.add_(1))
        return glu

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (dh,), (gate_up,), limit = grads, ctx.saved_tensors, ctx.limit
        if library := _fused(gate_up):
            return library.activation(gate_up, dh.contiguous(), ctx.alpha, limit), None, None
        raw_gate, raw_up = apart(gate_up)
        gate, up = raw_gate.clamp(max=limit), raw_up.clamp(-limit, limit)
        sigmoid = gate.mul(ctx.alpha).sigmoid_()
        glu = gate * sigmoid
        grad = torch.empty_like(gate_up)
        grad[..., 1::2] = (dh * glu).mul_(raw_up.abs() <= limit)
        slope = (1 - sigmoid).mul_(glu.mul_(ctx.alpha)).add_(sigmoid)
        grad[..., ::2] = up.add_(1).mul_(dh).mul_(slope).mul_(raw_gate <= limit)
        return grad, None, None


def _fused(gate_up: torch.Tensor) -> Native | None:
    """The library that activates these in one pass; None where it cannot."""
    is_taken = gate_up.is_cpu and gate_up.dtype in READ_TURNED and gate_up.is_contiguous()
    return native()[0] if is_taken else None


def apart(gate_up: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(gate, up), each [..., I] of [..., 2·I]; copied on a CPU, where each step on every other
    number takes several times as long.
    """
    gate, up = gate_up[..., ::2], gate_up[..., 1::2]
    return (gate.contiguous(), up.contiguous()) if gate_up.is_cpu else (gate, up)
