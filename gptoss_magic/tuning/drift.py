"""Routing on a fixed probe text while a run goes on, against the base model's.

Legend: T tokens, L layers, E experts, k experts a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.model.loads import entropy, js_distance
from gptoss_magic.records import Drift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import Model


class Drifting:
    """Measures `Drift` on the probe's tokens; made before any part is attached.

    `trained[layer]`: the experts that are trained there; empty where none is.
    """

    def __init__(
        self, model: Model, probe_T: Sequence[int], trained: Sequence[Sequence[int]] = ()
    ) -> None:
        self.model, self.trained = model, trained
        self.probe = list(probe_T)
        self.base_LE = self._load()

    def measure(self) -> Drift:
        """The drift of the model as it is now."""
        load_LE = self._load()
        distance = float(js_distance(load_LE, self.base_LE).mean())
        return Drift(float(entropy(load_LE).mean()), self._share(load_LE), distance)

    def _load(self) -> Any:
        """[L, E]: share of the probe's routes, a numpy array in fp64."""
        import torch

        from gptoss_magic.model.reading import read
        from gptoss_magic.model.router import Capture

        with torch.no_grad(), Capture(self.model) as capture:
            read(self.model, [self.probe], [()])
            ids_TLk, _ = capture.take()
        num_experts = capture.routers[0].num_experts
        hits = torch.nn.functional.one_hot(ids_TLk, num_experts).sum((0, 2)).double()
        return (hits / hits.sum(-1, keepdim=True)).cpu().numpy()

    def _share(self, load_LE: Any) -> float | None:
        shares = [float(load_LE[i, list(e)].sum()) for i, e in enumerate(self.trained) if e]
        return sum(shares) / len(shares) if shares else None
