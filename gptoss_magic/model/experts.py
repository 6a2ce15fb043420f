"""gpt-oss experts that stay packed in MXFP4: forward and backward from the checkpoint's bytes.

Legend: T tokens, k experts a token, S = T·k routed rows sorted by expert, E experts, H hidden
size, I intermediate size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from gptoss_magic.model.backends import backend_for
from gptoss_magic.model.mxfp4 import Packed

if TYPE_CHECKING:
    from collections.abc import Callable


class PackedLinear(torch.autograd.Function):
    """y = x·Wᵀ + b by expert; backward is dx = dy·W from the same bytes. Saves no activation."""

    @staticmethod
    def forward(ctx: Any, x_SK: Any, bias_EN: Any, offsets: Any, w: Packed) -> torch.Tensor:
        ctx.w, ctx.offsets, ctx.bias = w, offsets, bias_EN
        return backend_for(x_SK, w).linear(x_SK, offsets, w, bias_EN)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (dy_SN,) = grads
        dx = dbias = None
        if ctx.needs_input_grad[0]:
            dx = backend_for(dy_SN, ctx.w).transposed(dy_SN, ctx.offsets, ctx.w)
        if ctx.needs_input_grad[1]:
            counts = ctx.offsets.diff().long()
            expert_S = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
            dbias = torch.zeros_like(ctx.bias).index_add_(0, expert_S, dy_SN.to(ctx.bias.dtype))
        return dx, dbias, None, None


class Swiglu(torch.autograd.Function):
    """gpt-oss' clamped activation (gate and up interleaved); saves its input alone."""

    @staticmethod
    def forward(ctx: Any, gate_up: Any, alpha: float, limit: float) -> torch.Tensor:
        ctx.save_for_backward(gate_up)
        ctx.alpha, ctx.limit = alpha, limit
        gate = gate_up[..., ::2].clamp(max=limit)
        up = gate_up[..., 1::2].clamp(-limit, limit)
        glu: torch.Tensor = gate.mul(alpha).sigmoid_().mul_(gate).mul_(up.add_(1))
        return glu

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (dh,), (gate_up,), limit = grads, ctx.saved_tensors, ctx.limit
        raw_gate, raw_up = gate_up[..., ::2], gate_up[..., 1::2]
        gate, up = raw_gate.clamp(max=limit), raw_up.clamp(-limit, limit)
        sigmoid = gate.mul(ctx.alpha).sigmoid_()
        glu = gate * sigmoid
        grad = torch.empty_like(gate_up)
        grad[..., 1::2] = dh * glu * (raw_up.abs() <= limit)
        slope = sigmoid + ctx.alpha * glu * (1 - sigmoid)
        grad[..., ::2] = dh * (up + 1) * slope * (raw_gate <= limit)
        return grad, None, None


class PackedExperts(nn.Module):
    """In place of transformers' GptOssExperts; parameters are named as in the checkpoint.

    `observer(ids [T, k], weights [T, k])`, where set, sees each forward's routing.
    """

    def __init__(self, config: Any, device: Any = "meta") -> None:
        super().__init__()
        experts, hidden, inner = (
            config.num_local_experts,
            config.hidden_size,
            config.intermediate_size,
        )
        self.alpha, self.limit = config.swiglu_alpha, config.swiglu_limit
        self.observer: Callable[[torch.Tensor, torch.Tensor], None] | None = None
        for name, rows, columns in (
            ("gate_up_proj", 2 * inner, hidden),
            ("down_proj", hidden, inner),
        ):
            for part, shape, dtype in (
                ("blocks", (experts, rows, columns // 32, 16), torch.uint8),
                ("scales", (experts, rows, columns // 32), torch.uint8),
                ("bias", (experts, rows), torch.bfloat16),
            ):
                empty = torch.empty(shape, dtype=dtype, device=device)
                parameter = nn.Parameter(empty, requires_grad=False)
                self.register_parameter(f"{name}_{part}", parameter)

    def packed(self, name: str) -> tuple[Packed, torch.Tensor]:
        """Weights and bias of 'gate_up_proj' or 'down_proj'."""
        blocks, scales, bias = (
            self._parameters[f"{name}_{p}"] for p in ("blocks", "scales", "bias")
        )
        return Packed(blocks, scales), bias  # type: ignore[arg-type, return-value]

    @torch.compiler.disable  # kernels that Dynamo cannot look into
    def forward(
        self, hidden_TH: torch.Tensor, ids_Tk: torch.Tensor, weights_Tk: torch.Tensor
    ) -> torch.Tensor:
        """[T, H]: the routed experts' outputs, weighted and summed."""
        if self.observer is not None:
            self.observer(ids_Tk.detach(), weights_Tk.detach())
        up, down = self.packed("gate_up_proj"), self.packed("down_proj")
        moe = backend_for(hidden_TH, up[0]).moe
        if (
            moe is not None
            and down[0].shape[1] % 16 == 0
            and not self._records(hidden_TH, weights_Tk)
        ):
            return moe(hidden_TH, ids_Tk, weights_Tk, up, down, self.alpha, self.limit)
        return self._grouped(hidden_TH, ids_Tk, weights_Tk, up, down)

    def _records(self, *given: torch.Tensor) -> bool:
        """True where autograd must see each step, or a bias is not bf16."""
        biases = (self.gate_up_proj_bias, self.down_proj_bias)
        if any(bias.dtype != torch.bfloat16 for bias in biases):
            return True
        return torch.is_grad_enabled() and any(t.requires_grad for t in (*given, *biases))

    def _grouped(
        self,
        hidden_TH: torch.Tensor,
        ids_Tk: torch.Tensor,
        weights_Tk: torch.Tensor,
        up: tuple[Packed, torch.Tensor],
        down: tuple[Packed, torch.Tensor],
    ) -> torch.Tensor:
        top_k = ids_Tk.shape[1]
        order_S, offsets = grouped(ids_Tk, up[0].shape[0])
        x_SH = hidden_TH[order_S // top_k]
        linear, swiglu = cast("Any", PackedLinear).apply, cast("Any", Swiglu).apply
        inner = swiglu(linear(x_SH, up[1], offsets, up[0]), self.alpha, self.limit)
        y_SH = linear(inner, down[1], offsets, down[0])
        weighted_SH = y_SH * weights_Tk.reshape(-1)[order_S, None].to(y_SH.dtype)
        routes_SH = torch.empty_like(weighted_SH).index_copy(0, order_S, weighted_SH)
        return routes_SH.view(*ids_Tk.shape, -1).sum(1)  # one order of adding, also on a GPU


def grouped(ids_Tk: torch.Tensor, num_experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(order [S] that sorts the routes by expert, offsets [E + 1] int32 of each expert's rows).

    Nothing waits for the device.
    """
    sorted_S, order_S = ids_Tk.reshape(-1).sort(stable=True)
    expert = torch.arange(num_experts + 1, dtype=sorted_S.dtype, device=sorted_S.device)
    return order_S, torch.searchsorted(sorted_S, expert, out_int32=True)


def use_packed_experts(model: nn.Module, config: Any) -> None:
    """Put empty `PackedExperts` where the model has transformers' experts."""
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

    for name, module in list(model.named_modules()):
        if isinstance(module, GptOssExperts):
            model.set_submodule(name, PackedExperts(config))
