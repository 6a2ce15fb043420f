"""Where the tokens of a KV cache went: a trace that grows, and is cut, with them.

Legend: T tokens, L layers, k experts a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.harmony.channels import channels_of
from gptoss_magic.records import RoutingTrace

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.harmony import HarmonyCodec

    Layers = Sequence[tuple[torch.Tensor, torch.Tensor]]

FOLD = 256  # forwards whose small tensors may lie on the device


class Routes:
    """Routes of the first `length` tokens. Adding a forward computes nothing on the device."""

    def __init__(self) -> None:
        self._folded: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._fresh: list[tuple[int, Layers]] = []

    @property
    def length(self) -> int:
        """Tokens held."""
        return sum(len(ids) for ids, _ in self._folded) + sum(size for size, _ in self._fresh)

    def add(self, layers: Layers) -> None:
        """What one forward's routers chose, by layer: (ids [T, k], weights [T, k])."""
        self._fresh.append((len(layers[0][0]), layers))
        if len(self._fresh) >= FOLD:
            self._fold()

    def cut(self, length: int) -> None:
        """Keep the first `length` tokens."""
        excess = self.length - length
        while self._fresh and excess > 0:
            size, layers = self._fresh.pop()
            if size > excess:
                self._fresh.append((size - excess, layers))
            excess -= size
        if excess > 0:
            ids, weights = self._whole()
            self._folded = [(ids[:length], weights[:length])]

    def copy(self, length: int) -> Routes:
        """The first `length` tokens, on their own."""
        made = Routes()
        made._folded, made._fresh = list(self._folded), list(self._fresh)
        made.cut(length)
        return made

    def trace(self, ids_T: Sequence[int], codec: HarmonyCodec, num_experts: int) -> RoutingTrace:
        """The record for the tokens `ids_T`, or for as many of them as a forward has seen."""
        ids, weights = (part.numpy()[: len(ids_T)] for part in self._whole())
        return RoutingTrace(
            ids=ids.astype("uint8" if num_experts <= 256 else "uint16"),
            weights=weights,
            channels=channels_of(ids_T, codec)[: len(ids)],
            num_experts=num_experts,
        )

    def _whole(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        self._fold()
        if not self._folded:
            return torch.empty(0, 0, 0, dtype=torch.uint8), torch.empty(0, 0, 0).half()
        ids, weights = (torch.cat(parts) for parts in zip(*self._folded, strict=True))
        self._folded = [(ids, weights)]
        return ids, weights

    def _fold(self) -> None:
        """Move the fresh forwards into host memory, in the compact types."""
        import torch

        if not self._fresh:
            return
        ids, weights = [], []
        for layer in range(len(self._fresh[0][1])):
            seen = [(size, *layers[layer]) for size, layers in self._fresh]
            ids.append(torch.cat([_first(i, size) for size, i, _ in seen]).short().cpu())
            weights.append(torch.cat([_first(w, size) for size, _, w in seen]).half().cpu())
        folded = [*self._folded, (torch.stack(ids, 1), torch.stack(weights, 1))]
        self._folded, self._fresh = folded, []


def _first(rows: torch.Tensor, size: int) -> torch.Tensor:
    """The first `size` rows; most forwards are kept whole, and slicing all would cost most here."""
    return rows if len(rows) == size else rows[:size]
