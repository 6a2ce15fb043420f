"""gpt-oss experts: packed in MXFP4, forward and backward from the checkpoint's bytes; or in bf16.

Both take `Taps`: branches beside their projections (LoRA), and a watcher of their outputs.

Legend: T tokens, k experts a token, S = T·k routed rows sorted by expert, E experts, H hidden
size, I intermediate size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

from gptoss_magic.model.activation import READ_TURNED
from gptoss_magic.model.backends import backend_for, groups, native
from gptoss_magic.model.linear import FEW, fast_linear, has_library, is_recorded
from gptoss_magic.model.mxfp4 import Packed
from gptoss_magic.model.pages import let_go
from gptoss_magic.model.taps import Taps
from gptoss_magic.model.wide import is_slow

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model, ModelConfig


ROWS = 32  # a product of many rows takes a multiple of so many, so that few shapes are compiled


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


class FrozenLinear(torch.autograd.Function):
    """y = x·W + b by expert of frozen dense weights [E, K, N]; saves no activation."""

    @staticmethod
    def forward(ctx: Any, x_SK: Any, bias_EN: Any, offsets: Any, w_EKN: Any) -> torch.Tensor:
        ctx.w, ctx.offsets = w_EKN, offsets
        return _by_expert(x_SK, offsets, w_EKN, bias_EN)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _by_expert(grads[0], ctx.offsets, ctx.w.mT), None, None, None


def _by_expert(
    x_SK: torch.Tensor, offsets: torch.Tensor, w_EKN: torch.Tensor, bias_EN: Any = None
) -> torch.Tensor:
    """[S, N]: x·W + b, each expert's product in its place.

    On a CPU oneDNN compiles a kernel for each number of rows, which costs more than the product:
    there it takes a few rows more, and the next expert writes its own over them.
    """
    y_SN = x_SK.new_empty(len(x_SK), w_EKN.shape[2])
    for expert, first, end in groups(offsets):
        size = min(-(-(end - first) // ROWS) * ROWS, len(x_SK)) if x_SK.is_cpu else end - first
        begin = min(first, len(x_SK) - size)
        x, w = x_SK[begin : begin + size], w_EKN[expert]
        out = y_SN[first : first + size] if begin == first else None  # None: rows before are done
        if bias_EN is None:
            made = torch.mm(x, w, out=out)
        else:
            made = torch.addmm(bias_EN[expert], x, w, out=out)
        if out is None:
            y_SN[first:end] = made[first - begin : end - begin]
    return y_SN


class PackedExperts(nn.Module):
    """In place of transformers' GptOssExperts; parameters are named as in the checkpoint."""

    def __init__(self, config: ModelConfig, device: Any = "meta") -> None:
        super().__init__()
        experts, hidden, inner = (
            config.num_local_experts,
            config.hidden_size,
            config.intermediate_size,
        )
        self.alpha, self.limit = config.swiglu_alpha, config.swiglu_limit
        self.taps = Taps()
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
        up, down = self.packed("gate_up_proj"), self.packed("down_proj")
        moe = backend_for(hidden_TH, up[0]).moe
        if (
            moe is not None
            and down[0].shape[1] % 16 == 0
            and not self.taps
            and not self._records(hidden_TH, weights_Tk)
        ):
            return moe(hidden_TH, ids_Tk, weights_Tk, up, down, self.alpha, self.limit)
        routing = (hidden_TH, ids_Tk, weights_Tk)
        return self.taps.run(routing, up[0].shape[0], self._linear, (self.alpha, self.limit))

    def _linear(self, name: str, x_SK: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        w, bias = self.packed(name)
        y_SN: torch.Tensor = cast("Any", PackedLinear).apply(x_SK, bias, offsets, w)
        return y_SN

    def _records(self, *given: torch.Tensor) -> bool:
        """True where autograd must see each step, or a bias is not bf16."""
        biases: Any = (self.gate_up_proj_bias, self.down_proj_bias)
        if any(bias.dtype != torch.bfloat16 for bias in biases):
            return True
        return is_recorded(*given, *biases)


class ResidentExperts(GptOssExperts):
    """transformers' bf16 experts with `taps`.

    On a CPU a few tokens go to the C++ library in one call: torch's grouped product costs about a
    millisecond a call, whatever its size, and waits at its barriers when the machine is busy. Many
    tokens go to transformers' own forward, or by `fast_linear` where bf16 is slow.
    """

    taps: Taps

    def forward(  # type: ignore[override]
        self, hidden_TH: torch.Tensor, ids_Tk: torch.Tensor, weights_Tk: torch.Tensor
    ) -> torch.Tensor:
        """[T, H], as `PackedExperts`."""
        routing = (hidden_TH, ids_Tk, weights_Tk)
        if not self.taps and self._is_plain(hidden_TH, weights_Tk):
            return self._at_once(*routing)  # type: ignore[no-any-return]
        is_trained = is_recorded(self.gate_up_proj)  # torch's grouped product is not for that
        if not self.taps and not is_trained and not is_slow(hidden_TH):
            return super().forward(*routing)
        return self.taps.run(routing, self.num_experts, self._linear, (self.alpha, self.limit))

    def _is_plain(self, hidden_TH: torch.Tensor, weights_Tk: torch.Tensor) -> bool:
        """True where the C++ library takes the layer, as the weights lie now."""
        parts = (self.gate_up_proj, self.gate_up_proj_bias, self.down_proj, self.down_proj_bias)
        return (
            len(hidden_TH) <= FEW
            and has_library()
            and all(part.is_cpu and part.dtype == torch.bfloat16 for part in parts)
            and all(w.mT.is_contiguous() and w.shape[1] % 32 == 0 for w in (parts[0], parts[2]))
            and not is_recorded(hidden_TH, weights_Tk, *parts)
        )

    @torch.compiler.disable  # kernels that Dynamo cannot look into
    def _at_once(
        self, hidden_TH: torch.Tensor, ids_Tk: torch.Tensor, weights_Tk: torch.Tensor
    ) -> torch.Tensor:
        library: Any = native()[0]
        up = (self.gate_up_proj.mT, self.gate_up_proj_bias)
        down = (self.down_proj.mT, self.down_proj_bias)
        y_TH: torch.Tensor = library.moe_dense(
            hidden_TH, ids_Tk, weights_Tk, up, down, self.alpha, self.limit
        )
        return y_TH

    def _linear(self, name: str, x_SK: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        w_EKN, bias_EN = getattr(self, name), getattr(self, f"{name}_bias")
        if not is_slow(x_SK) and not (w_EKN.requires_grad or bias_EN.requires_grad):
            y_SN: torch.Tensor = cast("Any", FrozenLinear).apply(x_SK, bias_EN, offsets, w_EKN)
            return y_SN
        rows = torch.split(x_SK, offsets.diff().tolist())
        parts = zip(rows, w_EKN, bias_EN, strict=True)
        return torch.cat([_product(x, w, bias) for x, w, bias in parts if len(x)])


def _product(x_SK: torch.Tensor, w_KN: torch.Tensor, bias_N: torch.Tensor) -> torch.Tensor:
    y = fast_linear(x_SK, w_KN.T, bias_N)
    return torch.addmm(bias_N, x_SK, w_KN) if y is None else y


def use_packed_experts(model: nn.Module, config: ModelConfig) -> None:
    """Put empty `PackedExperts` where the model has transformers' experts."""
    for name, module in list(model.named_modules()):
        if isinstance(module, GptOssExperts):
            model.set_submodule(name, PackedExperts(config))


def use_resident_experts(model: Model) -> None:
    """Let every bf16 experts module of `model` be a `ResidentExperts`.

    Weights stay in place; on a CPU they are turned, so that an output's numbers lie side by side,
    as the C++ kernels read them: shapes and values stay.
    """
    for module in model.modules():
        if type(module) is GptOssExperts:
            module.__class__ = ResidentExperts
            cast("Any", module).taps = Taps()
            for weights in (module.gate_up_proj, module.down_proj):
                if weights.is_cpu and weights.dtype in READ_TURNED and has_library():
                    as_read, weights.data = weights.data, weights.data.mT.contiguous().mT
                    let_go(as_read)
