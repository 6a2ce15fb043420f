"""bf16 linears on a CPU: the C++ matrix-vector product for a few rows, fp32 where bf16 is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gptoss_magic.model.backends import native
from gptoss_magic.model.wide import is_slow, wide_linear

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model

FEW = 8


class ResidentLinear(nn.Linear):
    """nn.Linear that multiplies as `fast_linear` does, where that knows a faster way."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (nn.Linear's name)
        y = fast_linear(input, self.weight, self.bias)
        return super().forward(input) if y is None else y


def fast_linear(
    x: torch.Tensor, w_NK: torch.Tensor, bias_N: torch.Tensor | None
) -> torch.Tensor | None:
    """x·Wᵀ + b of bf16 on a CPU, x [..., K]; None where torch's own product is what there is.

    Up to `FEW` rows without gradients go by the C++ kernel, all else by way of fp32 where bf16 is
    slow.
    """
    rows = x.numel() // x.shape[-1]
    if rows <= FEW and _plain(x, w_NK, bias_N) and has_library():
        by_cpp = _dense_apart if torch.compiler.is_compiling() else _dense
        y: torch.Tensor = by_cpp(x.reshape(rows, -1), w_NK, bias_N)
        return y.reshape(*x.shape[:-1], -1)
    if is_slow(x) and w_NK.dtype == x.dtype:
        return wide_linear(x, w_NK, bias_N)
    return None


def _dense(x_MK: torch.Tensor, w_NK: torch.Tensor, bias_N: torch.Tensor | None) -> torch.Tensor:
    library: Any = native()[0]
    y_MN: torch.Tensor = library.dense(x_MK, w_NK, bias_N)
    return y_MN


_dense_apart: Any = torch.compiler.disable(_dense)  # type: ignore[no-untyped-call]


def _plain(x: torch.Tensor, w_NK: torch.Tensor, bias_N: torch.Tensor | None) -> bool:
    tensors = (x, w_NK) if bias_N is None else (x, w_NK, bias_N)
    return (
        all(t.is_cpu and t.dtype == torch.bfloat16 for t in tensors)
        and x.shape[-1] % 32 == 0
        and w_NK.is_contiguous()
        and not is_recorded(*tensors)
    )


def is_recorded(*tensors: torch.Tensor) -> bool:
    """True where autograd must see what is made of these."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


@torch.compiler.assume_constant_result
def has_library() -> bool:
    """True where the C++ library can be used."""
    return native()[0] is not None


def use_resident_linears(model: Model) -> None:
    """Let every plain nn.Linear of `model` be a `ResidentLinear`; weights stay where they are."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = ResidentLinear
