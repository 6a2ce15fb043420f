"""LoRA beside q_proj or o_proj that reaches chosen attention heads alone.

Legend: K in, N out, r rank, A heads, D head size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gptoss_magic.model.parts import LinearLora

if TYPE_CHECKING:
    from collections.abc import Sequence


class HeadLora(LinearLora):
    """scaling · B(A x), where only the rows of B (q_proj) or the columns of A (o_proj) that belong
    to `heads` are more than zero, or are ever trained.

    The mask is part of the product: a part that is made again of its settings has it too.
    """

    SETTINGS = ("scaling", "heads", "head_dim")
    mask: torch.Tensor

    def __init__(
        self,
        target: str,
        ab: tuple[torch.Tensor, torch.Tensor],
        scaling: float,
        heads: Sequence[int],
        head_dim: int,
    ) -> None:
        super().__init__(target, *ab, scaling)
        self.heads, self.head_dim = list(heads), head_dim
        masked = self.b if self._is_query else self.a.T
        mask = torch.zeros(len(masked) // head_dim, head_dim)
        mask[self.heads] = 1
        shape = (-1, 1) if self._is_query else (1, -1)
        self.register_buffer("mask", mask.reshape(shape), persistent=False)
        with torch.no_grad():
            (self.b if self._is_query else self.a).mul_(self.mask)

    @property
    def _is_query(self) -> bool:
        return self.target.endswith("q_proj")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., N], what is added; what the mask leaves out has no gradient."""
        a, b = (self.a, self.b * self.mask) if self._is_query else (self.a * self.mask, self.b)
        return (x.to(a.dtype) @ a.T) @ b.T * (self.scaling * self.scale)
