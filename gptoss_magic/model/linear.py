"""bf16 linears that reach the memory's bandwidth for a few tokens on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gptoss_magic.model.backends import native
from gptoss_magic.model.wide import is_slow, wide_linear

FEW = 8


class ResidentLinear(nn.Linear):
    """nn.Linear whose forward of up to `FEW` bf16 rows is the C++ matrix-vector product.

    Anything else (gradients, other dtypes and devices, more rows) is nn.Linear's own, or goes by
    way of fp32 where bf16 is slow.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (nn.Linear's name)
        rows = input.numel() // self.in_features
        if rows > FEW or not self._plain(input) or not has_library():
            if is_slow(input) and self.weight.dtype == input.dtype:
                return wide_linear(input, self.weight, self.bias)
            return super().forward(input)
        y: torch.Tensor = self._dense(input.reshape(rows, -1))
        return y.reshape(*input.shape[:-1], -1)

    @torch.compiler.disable
    def _dense(self, x_MK: torch.Tensor) -> torch.Tensor:
        library: Any = native()[0]
        y_MN: torch.Tensor = library.dense(x_MK, self.weight)
        if self.bias is not None:
            y_MN += self.bias
        return y_MN.to(x_MK.dtype)

    def _plain(self, given: torch.Tensor) -> bool:
        tensors = (given, self.weight)
        return (
            all(t.device.type == "cpu" and t.dtype == torch.bfloat16 for t in tensors)
            and self.in_features % 32 == 0
            and self.weight.is_contiguous()
            and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
        )


@torch.compiler.assume_constant_result
def has_library() -> bool:
    """True where the C++ library can be used."""
    return native()[0] is not None


def use_resident_linears(model: nn.Module) -> None:
    """Let every plain nn.Linear of `model` be a `ResidentLinear`; weights stay where they are."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = ResidentLinear
