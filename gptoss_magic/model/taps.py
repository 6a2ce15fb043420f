"""What is attached to experts: branches beside their projections, a watcher of their outputs.

Legend: T tokens, k experts a token, S = T·k routed rows sorted by expert, E experts, H hidden
size, I intermediate size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from gptoss_magic.model.activation import Swiglu

if TYPE_CHECKING:
    from collections.abc import Callable


class ExpertBranch(Protocol):
    """Stands beside a projection of one layer: takes the rows and what the experts made of them."""

    def beside(
        self, name: str, x_SK: torch.Tensor, y_SN: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """[S, N]: what projection `name` gave, with the branch's share; y may be changed."""


class Taps:
    """What is attached to the experts of one layer; nothing costs nothing.

    `watch(y [S, H], order [S], offsets [E + 1])`, where set, sees the unweighted outputs.
    """

    def __init__(self) -> None:
        self.branches: list[ExpertBranch] = []
        self.watch: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None

    def __bool__(self) -> bool:
        return bool(self.branches) or self.watch is not None

    def run(
        self,
        routing: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        num_experts: int,
        linear: Callable[[str, torch.Tensor, torch.Tensor], torch.Tensor],
        limits: tuple[float, float],
    ) -> torch.Tensor:
        """[T, H] of `routing` (hidden [T, H], ids and weights [T, k]), grouped by expert.

        `linear(name, x [S, K], offsets)` is the projection `name` by expert; `limits` are the
        activation's alpha and limit.
        """
        hidden_TH, ids_Tk, weights_Tk = routing
        order_S, offsets = grouped(ids_Tk, num_experts)
        x_SH = hidden_TH[order_S // ids_Tk.shape[1]]
        inner_SI = cast("Any", Swiglu).apply(
            self._beside(linear, "gate_up_proj", x_SH, offsets), *limits
        )
        y_SH = self._beside(linear, "down_proj", inner_SI, offsets)
        if self.watch is not None:
            self.watch(y_SH.detach(), order_S, offsets)
        return summed(y_SH, order_S, weights_Tk)

    def _beside(
        self, linear: Callable[..., torch.Tensor], name: str, x: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        y = linear(name, x, offsets)
        for branch in self.branches:
            y = branch.beside(name, x, y, offsets)
        return y


def put_back(rows_SN: torch.Tensor, order_S: torch.Tensor) -> torch.Tensor:
    """[S, N]: the rows as they lay before `order_S` sorted them."""
    back_S = torch.empty_like(order_S)
    back_S[order_S] = torch.arange(len(order_S), device=order_S.device)
    return rows_SN[back_S]


def summed(y_SH: torch.Tensor, order_S: torch.Tensor, weights_Tk: torch.Tensor) -> torch.Tensor:
    """[T, H]: each token's routes of the rows that `order_S` sorted, weighted and summed."""
    routes_TkH = put_back(y_SH, order_S).view(*weights_Tk.shape, -1)  # autograd keeps these, not y
    return (routes_TkH * weights_Tk[..., None].to(y_SH.dtype)).sum(1)  # one order of adding


def grouped(ids_Tk: torch.Tensor, num_experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(order [S] that sorts the routes by expert, offsets [E + 1] int32 of each expert's rows).

    Nothing waits for the device.
    """
    sorted_S, order_S = ids_Tk.reshape(-1).sort(stable=True)
    expert = torch.arange(num_experts + 1, dtype=sorted_S.dtype, device=sorted_S.device)
    return order_S, torch.searchsorted(sorted_S, expert, out_int32=True)
