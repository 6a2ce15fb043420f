"""AdaLoRA's part: y += scaling · P(Λ(Q x)), with a smoothed importance of each singular value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gptoss_magic.model.parts import LinearLora, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.model.protocol import Model

BETA = 0.85  # of both smoothings, as in the paper
SPREAD = 0.02


class SvdLora(Part):
    """P [N, r], Λ [r], Q [r, K] beside one nn.Linear; Λ starts at zero."""

    SETTINGS = ("scaling",)

    def __init__(self, target: str, num_out: int, num_in: int, rank: int, scaling: float) -> None:
        super().__init__(target)
        self.scaling = scaling
        self.p = nn.Parameter(torch.randn(num_out, rank) * SPREAD)
        self.lam = nn.Parameter(torch.zeros(rank))
        self.q = nn.Parameter(torch.randn(rank, num_in) * SPREAD)
        for name in ("p", "lam", "q"):
            for kind in ("mean", "doubt"):
                zeros = torch.zeros_like(self.get_parameter(name))
                self.register_buffer(f"{name}_{kind}", zeros)

    def attach(self, model: Model) -> Callable[[], None]:
        hook = model.get_submodule(self.target).register_forward_hook(self._beside)
        return hook.remove  # type: ignore[no-any-return]

    def _beside(self, _module: Any, given: Any, y: torch.Tensor) -> torch.Tensor:
        low = given[0].to(self.q.dtype) @ self.q.T * self.lam
        out: torch.Tensor = (y + low @ self.p.T * (self.scaling * self.scale)).to(y.dtype)
        return out

    def observe(self) -> None:
        """Smooth |w·∂w| and its deviation (equations 9 and 10); wants gradients."""
        with torch.no_grad():
            for name in ("p", "lam", "q"):
                weight = self.get_parameter(name)
                if weight.grad is None:
                    continue
                now = (weight * weight.grad).abs()
                mean, doubt = self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_doubt")
                mean.lerp_(now, 1 - BETA)
                doubt.lerp_((now - mean).abs(), 1 - BETA)

    def importance(self) -> torch.Tensor:
        """[r]: of each triplet, mean · doubt of Λ plus the means over P's and Q's entries."""
        p, lam, q = (
            self.get_buffer(f"{n}_mean") * self.get_buffer(f"{n}_doubt") for n in ("p", "lam", "q")
        )
        return lam + p.mean(0) + q.mean(1)

    def penalty(self) -> torch.Tensor:
        """How far P and Q are from orthogonal."""
        eye = torch.eye(len(self.lam), device=self.lam.device)
        inner, outer = self.p.T @ self.p - eye, self.q @ self.q.T - eye
        return (inner * inner).sum() + (outer * outer).sum()

    def plain(self) -> LinearLora:
        """The same branch as LoRA of the rank that is left, at least one."""
        kept = self.lam.detach() != 0
        if not kept.any():
            kept[0] = True
        a = (self.lam[:, None] * self.q).detach()[kept].clone()
        return LinearLora(self.target, a, self.p.detach()[:, kept].clone(), self.scaling)
