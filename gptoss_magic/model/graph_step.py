"""A decode step on a GPU as one CUDA graph: all kernels of a token in one launch.

transformers' own forward is recorded, one token long, over the whole of a conversation's KV
buffers: the token, its place and the masks behind it are read from memory, so that the recorded
kernels serve every later token. A graph is made anew where buffers or adapters are others. What
cannot be recorded goes module by module, as it does for prompts; `why_not` says why.
Legend: C capacity of the KV buffers, V vocabulary.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from gptoss_magic.model.attached import StandingBy, why_never
from gptoss_magic.model.given_cache import given_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.model.kv_cache import KVCache, KVLayer
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.model.rows_cache import RowsCache

    Run = Callable[[], torch.Tensor]

KEPT = 4  # graphs; each conversation and length has its own
WARM_UP = 2  # runs before a recording, in which libraries choose their kernels
NEAR = 0.02  # of the largest logit: how far a graph may be from the modules


class GraphStep:
    """The recorded step of one model. `record` makes of a run what repeats it."""

    most = 1

    def __init__(self, model: Model, record: Callable[[Run], Run] | None = None) -> None:
        self.model, self._record = model, record or cuda_recorded
        self.never = why_never(model)
        self._graphs: dict[tuple[Any, ...], tuple[FixedRun, Run]] = {}
        self._refused: dict[tuple[Any, ...], str] = {}  # by what stands beside the model
        if self.never:
            return
        self._standing_by = StandingBy(model)
        if len({weight.device for weight in self._standing_by.weights}) > 1:
            self.never = "the model lies on several devices"

    def why_not(self, num_tokens: int) -> str:
        """Why a step of so many tokens cannot be taken as things stand; '' where it can."""
        if self.never:
            return self.never
        if num_tokens > self.most:
            return "more than one new token"
        if torch.is_grad_enabled():
            return "gradients are asked for"
        if any(router.watchers for router in self._standing_by.routers):
            return "routing is captured"
        return self._standing_by.why_not() or self._refused.get(tuple(self._standing_by.key()), "")

    def take(
        self, caches: Sequence[KVCache], pieces: Sequence[list[int]], wanted: Sequence[int]
    ) -> torch.Tensor | None:
        """Logits [1, V] behind the one token of `pieces`, whose cache grows by it.

        None where that cannot be taken: the modules do it then.
        """
        if self.why_not(sum(map(len, pieces))) or not _is_begun(caches[0]):
            return None
        (cache,), ((token,),), place = caches, pieces, caches[0].get_seq_length()
        for layer in _layers(cache):
            layer.reserve(place + 1)
        graph = self._graph(cache, token, place)
        if graph is None:
            return None
        fixed, replay = graph
        fixed.set(token, place)
        logits_1V = replay().clone()
        cache.grow(1)
        return logits_1V

    def take_rows(
        self, cache: RowsCache, first: int, pieces: Sequence[list[int]]
    ) -> torch.Tensor | None:
        """None: rows of a batch come and go, and go by the modules."""
        return None

    def describe(self) -> str:
        """How one more token would be computed now, and why."""
        with torch.no_grad():
            why = self.why_not(1)
        return f"module by module: {why}" if why else "one CUDA graph a token"

    def _graph(self, cache: KVCache, token: int, place: int) -> tuple[FixedRun, Run] | None:
        """The graph of these buffers and adapters; None where none can be made, and then why is
        known from then on.
        """
        beside = tuple(self._standing_by.key())
        key = (*(at for layer in _layers(cache) for at in _address(layer)), *beside)
        if key in self._graphs:
            self._graphs[key] = self._graphs.pop(key)  # the last used
            return self._graphs[key]
        fixed = FixedRun(self.model, cache)
        fixed.set(token, place)
        try:
            replay = self._record(fixed.run)
            why = _difference(replay(), self._by_modules(cache, token))
        except RuntimeError as error:  # a kernel that waits for the device cannot be recorded
            why = f"it cannot be recorded ({str(error).splitlines()[0]})"
        if why:
            self._refused[beside] = why
            return None
        self._graphs[key] = fixed, replay
        while len(self._graphs) > KEPT:
            del self._graphs[next(iter(self._graphs))]
        return fixed, replay

    def _by_modules(self, cache: KVCache, token: int) -> torch.Tensor:
        """Logits [1, V] behind `token` as transformers computes them; the cache is as before."""
        ids_11, length = torch.tensor([[token]], device=self.model.device), cache.get_seq_length()
        try:
            out = self.model(ids_11, **given_cache(cache), use_cache=True, logits_to_keep=1)
        finally:
            cache.cut(length)
        logits_1V: torch.Tensor = out.logits[0]
        return logits_1V


class FixedRun:
    """One token through the model, with all that changes from token to token in tensors."""

    def __init__(self, model: Model, cache: KVCache) -> None:
        self.model = model
        self._layers = [weakref.proxy(layer) for layer in _layers(cache)]  # no graph keeps a cache
        device = model.device
        self._ids_11 = torch.zeros(1, 1, dtype=torch.long, device=device)
        self._place_1 = torch.zeros(1, dtype=torch.long, device=device)
        self._keys_C = torch.arange(self._layers[0].keys.shape[2], device=device)

    def set(self, token: int, place: int) -> None:
        """The token that is read next, and how many stand before it."""
        self._ids_11.fill_(token)
        self._place_1.fill_(place)

    def run(self) -> torch.Tensor:
        """Logits [1, V]; the token's keys and values are at its place then."""
        seen_C = self._keys_C <= self._place_1
        in_window_C = seen_C & (self._keys_C > self._place_1 - self.model.config.sliding_window)
        out: Any = self.model(
            self._ids_11,
            position_ids=self._place_1[None],
            attention_mask={
                "full_attention": seen_C.view(1, 1, 1, -1),
                "sliding_attention": in_window_C.view(1, 1, 1, -1),
            },
            **given_cache(self),
            use_cache=True,
            logits_to_keep=1,
        )
        logits_1V: torch.Tensor = out.logits[0]
        return logits_1V

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_index: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As a KV cache's: writes at the token's place, and gives the whole buffers."""
        layer = self._layers[layer_index]
        layer.keys.index_copy_(2, self._place_1, keys)
        layer.values.index_copy_(2, self._place_1, values)
        return layer.keys, layer.values


def cuda_recorded(run: Run) -> Run:
    """What repeats the kernels of `run`. Raises RuntimeError where one waits for the device."""
    beside: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                run()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    torch.cuda.current_stream().wait_stream(beside)
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = run()

    def replay() -> torch.Tensor:
        graph.replay()
        return made

    return replay


def _difference(made: torch.Tensor, want: torch.Tensor) -> str:
    """What is wrong with a graph's logits; '' where nothing is."""
    apart = (made.float() - want.float()).abs().max() / want.float().abs().max()
    if bool(apart <= NEAR):
        return ""
    return f"a recorded step differs from the modules by {float(apart):.1%} of the largest logit"


def _is_begun(cache: KVCache) -> bool:
    return all(layer.is_initialized for layer in _layers(cache))


def _layers(cache: KVCache) -> list[KVLayer]:
    layers: list[Any] = list(cache.layers)
    return layers


def _address(layer: KVLayer) -> tuple[int, int, int]:
    return layer.keys.data_ptr(), layer.values.data_ptr(), layer.keys.shape[2]
