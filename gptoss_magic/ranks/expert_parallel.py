"""Expert parallelism: packed experts stay where they are, the tokens travel to them and back.

A rank keeps a slice of every layer's experts, bytes as in the checkpoint. What is trained is
whole on every rank: an expert's branch computes where the expert is, and its gradient is there.

Legend: T tokens, k experts a token, S = T·k own routes sorted by expert, R rows that came,
E experts in all, N ranks, H hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import nn

from gptoss_magic.model.activation import Swiglu
from gptoss_magic.model.taps import grouped, put_back, summed
from gptoss_magic.ranks.even import check_even

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.ranks.group import RankPlace


class _Travel(torch.autograd.Function):
    """Rows [S, H] to the ranks that want them, `sent` to each, `came` from each; [R, H].

    Gradients go the same way back.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, sent: list[int], came: list[int], group: Any
    ) -> torch.Tensor:
        ctx.sent, ctx.came, ctx.group = sent, came, group
        return _exchanged(rows, sent, came, group)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _exchanged(grads[0], ctx.came, ctx.sent, ctx.group), None, None, None


def _exchanged(rows: torch.Tensor, sent: list[int], came: list[int], group: Any) -> torch.Tensor:
    out = rows.new_empty(sum(came), *rows.shape[1:])
    dist.all_to_all_single(out, rows.contiguous(), came, sent, group=group)
    return out


class TravellingExperts(nn.Module):
    """In place of a layer's experts: `own` has the slice of this rank, and the layer's taps.

    `group`: the ranks among which tokens travel, where these are not all; `place` is that in it.
    """

    def __init__(self, own: Any, place: RankPlace, group: Any = None) -> None:
        super().__init__()
        self.num_experts, self.group = _num_experts(own), group
        size, self.place = self.num_experts // place.size, place
        self.first, self.last = place.rank * size, (place.rank + 1) * size
        for name, whole in list(own.named_parameters(recurse=False)):
            mine = whole.detach()[self.first : self.last]
            if not hasattr(own, "packed"):  # those are pages of the file, read as they are used
                mine = mine.clone(memory_format=torch.preserve_format)
            setattr(own, name, nn.Parameter(mine, requires_grad=False))
        self.own, self.taps = own, own.taps

    def forward(
        self, hidden_TH: torch.Tensor, ids_Tk: torch.Tensor, weights_Tk: torch.Tensor
    ) -> torch.Tensor:
        """[T, H], as the experts that it stands for."""
        order_S, offsets = grouped(ids_Tk, self.num_experts)
        counts_NE = self._counts(offsets)
        sent = counts_NE[self.place.rank].view(self.place.size, -1).sum(1).tolist()
        came_NE = counts_NE[:, self.first : self.last]
        came = came_NE.sum(1).tolist()
        x_SH = hidden_TH[order_S // ids_Tk.shape[1]]
        x_RH = cast("Any", _Travel).apply(x_SH, sent, came, self.group)
        y_RH = self._computed(x_RH, came_NE)
        y_SH = cast("Any", _Travel).apply(y_RH, came, sent, self.group)
        return summed(y_SH, order_S, weights_Tk)

    def _counts(self, offsets: torch.Tensor) -> torch.Tensor:
        """[N, E] on the CPU: how many rows each rank has for each expert."""
        mine = offsets.diff().long()
        found = mine.new_empty(self.place.size, len(mine))
        dist.all_gather_into_tensor(found.view(-1), mine, group=self.group)
        return found.cpu()

    def _computed(self, x_RH: torch.Tensor, came_NE: torch.Tensor) -> torch.Tensor:
        """What the own experts make of the rows that came, in the order in which they came."""
        local = torch.arange(came_NE.shape[1]).repeat(came_NE.shape[0])
        expert_R = local.repeat_interleave(came_NE.reshape(-1))
        order_R = expert_R.sort(stable=True).indices.to(x_RH.device)
        ends = came_NE.sum(0).cumsum(0)
        offsets = torch.cat([ends.new_zeros(1), ends]).int()
        every = _of_all(offsets, self.first, self.num_experts)
        places = offsets.to(x_RH.device), every.to(x_RH.device)
        up = self._beside("gate_up_proj", x_RH[order_R], places)
        y_RH = self._beside(
            "down_proj", cast("Any", Swiglu).apply(up, self.own.alpha, self.own.limit), places
        )
        return put_back(y_RH, order_R)

    def _beside(
        self, name: str, x: torch.Tensor, places: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """The projection by own experts; branches know experts by the numbers of the layer."""
        y: torch.Tensor = self.own._linear(name, x, places[0])
        for branch in self.taps.branches:
            y = branch.beside(name, x, y, places[1])
        return y


def _of_all(offsets: torch.Tensor, first: int, num_experts: int) -> torch.Tensor:
    """[E + 1]: the rows of own experts by all experts' numbers; others have none."""
    rest = num_experts + 1 - first - len(offsets)
    return torch.cat([offsets.new_zeros(first), offsets, offsets[-1:].repeat(rest)])


def _num_experts(own: Any) -> int:
    return len(next(own.parameters(recurse=False)))


def spread_experts(model: Model, place: RankPlace, group: Any = None) -> None:
    """Leave this rank its slice of every layer's experts; see `TravellingExperts`.

    Raises InputError where they cannot be shared out evenly.
    """
    check_even(model.config.num_local_experts, place.size)
    for layer in model.get_decoder().layers:
        layer.mlp.experts = TravellingExperts(layer.mlp.experts, place, group)
