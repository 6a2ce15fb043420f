"""gpt-oss' router with what may be attached to it, and a capture of where tokens go.

transformers' hooks see nothing where its packed experts call the router's weights themselves; ours
are called through this module, packed or not.
Legend: T tokens, L layers, E experts, k experts a token, H hidden size.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssTopKRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from gptoss_magic.model.protocol import Model


class ResidentRouter(GptOssTopKRouter):
    """transformers' router (bf16 linear, top k, softmax over the k) with taps.

    `branches(hidden [T, H])` are added to the logits [T, E]; a `probe(logits)` may change them
    after that; `watchers(ids [T, k], weights [T, k])` see what was chosen.
    """

    branches: list[Callable[[torch.Tensor], torch.Tensor]]
    probe: Callable[[torch.Tensor], torch.Tensor] | None
    watchers: list[Callable[[torch.Tensor, torch.Tensor], None]]

    def forward(self, hidden_TH: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(logits [T, E], weights [T, k], ids [T, k])."""
        logits_TE = linear(hidden_TH, self.weight, self.bias)
        for branch in self.branches:
            logits_TE = (logits_TE + branch(hidden_TH)).to(hidden_TH.dtype)
        if self.probe is not None:
            logits_TE = self.probe(logits_TE)
        top_Tk, ids_Tk = torch.topk(logits_TE, self.top_k, dim=-1)
        weights_Tk = torch.softmax(top_Tk, dim=1, dtype=top_Tk.dtype)
        for watch in self.watchers:
            watch(ids_Tk, weights_Tk.detach() if weights_Tk.requires_grad else weights_Tk)
        return logits_TE, weights_Tk, ids_Tk


def use_resident_routers(model: Model) -> None:
    """Let every router of `model` be a `ResidentRouter`; weights stay where they are."""
    for module in model.modules():
        if type(module) is GptOssTopKRouter:
            module.__class__ = ResidentRouter
            module.branches, module.probe, module.watchers = [], None, []  # type: ignore[assignment]


def routers(model: Model) -> list[ResidentRouter]:
    """The routers of `model`, by layer."""
    return [layer.mlp.router for layer in model.get_decoder().layers]


@contextmanager
def watching(
    routers: Sequence[ResidentRouter], watch: Callable[[int, torch.Tensor, torch.Tensor], None]
) -> Iterator[None]:
    """Within, `watch(layer, ids [T, k], weights [T, k])` sees where the tokens of a forward go."""
    watchers = [partial(watch, layer) for layer in range(len(routers))]
    for router, watcher in zip(routers, watchers, strict=True):
        router.watchers.append(watcher)
    try:
        yield
    finally:
        for router, watcher in zip(routers, watchers, strict=True):
            router.watchers.remove(watcher)


class Capture:
    """While entered, collects where each token of each forward goes; `take` hands it out.

    Entering forgets what was seen before.
    """

    def __init__(self, model: Model) -> None:
        self.routers = routers(model)
        self._seen: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in self.routers]
        self._within = ExitStack()

    def __enter__(self) -> Self:
        self.layers()
        self._within.enter_context(watching(self.routers, self._see))
        return self

    def __exit__(self, *_: object) -> None:
        self._within.close()

    def _see(self, layer: int, ids_Tk: torch.Tensor, weights_Tk: torch.Tensor) -> None:
        self._seen[layer].append((ids_Tk, weights_Tk))

    def layers(self) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
        """By layer, then forward: (ids [T, k], weights [T, k]) since the last call, as chosen."""
        seen, self._seen = self._seen, [[] for _ in self.routers]
        return seen

    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids [T, L, k], weights [T, L, k]) of the tokens since the last call, on the device."""
        seen = self.layers()
        layers = [[torch.cat(parts) for parts in zip(*layer, strict=True)] for layer in seen]
        device = self.routers[0].weight.device
        ids, weights = zip(*layers, strict=True)
        return (
            torch.stack([part.to(device) for part in ids], 1),
            torch.stack([part.to(device) for part in weights], 1),
        )
