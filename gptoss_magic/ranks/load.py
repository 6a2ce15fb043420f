"""Which experts a rank's tokens go to, counted while it trains.

Legend: T tokens, E experts, k experts a token.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.model.protocol import Model


class ExpertLoad:
    """Counts each layer's routes by expert, on the model's device, while it is `watching`."""

    def __init__(self, model: Model) -> None:
        from gptoss_magic.model.router import routers

        self._routers = routers(model)
        self._counts: list[Any] = [None] * len(self._routers)

    @contextmanager
    def watching(self) -> Iterator[ExpertLoad]:
        """Within, all routes are counted."""
        from gptoss_magic.model.router import watching

        with watching(self._routers, self._see):
            yield self

    def forget(self) -> None:
        """Count anew."""
        self._counts = [None] * len(self._routers)

    def busiest(self) -> float:
        """The share of the busiest expert, mean over the layers; 0 where nothing was routed."""
        shares = [float(c.max() / c.sum()) for c in self._counts if c is not None]
        return sum(shares) / len(shares) if shares else 0.0

    def _see(self, layer: int, ids_Tk: Any, _weights: Any) -> None:
        count_E = ids_Tk.flatten().bincount(minlength=self._routers[layer].num_experts)
        before = self._counts[layer]
        self._counts[layer] = count_E if before is None else before + count_E
