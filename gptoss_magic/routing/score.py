"""From token ids to `Scores`: forwards without gradients, in bounded memory.

Legend: T tokens, L layers, E experts, k experts a token, S = T·k routed rows sorted by expert,
C channels.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.model.given_cache import given_cache
from gptoss_magic.routing.scores import ALL, CHANNELS, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gptoss_magic.model.protocol import Model, ModelConfig
    from gptoss_magic.records import RoutingTrace

CHUNK = 512  # tokens of a forward
PLACES = {"system": (), "header": (), "analysis": (ALL, "analysis"), "final": (ALL, "final")}
PLACES |= {"commentary": (ALL, "commentary")}
PROMPT = (ALL, "prompt")


def score(
    model: Model,
    sequences: Sequence[Sequence[int]],
    channels: Sequence[Sequence[str]] | None = None,
    on_text: Callable[[int, int], None] = lambda done, total: None,
    *,
    reap: bool = True,
    about: Mapping[str, Any] | None = None,
    baseline: Scores | None = None,
    fill: Callable[[Any], None] = lambda cache: None,
) -> Scores:
    """Scores of token ids through the resident `model` as it stands, adapters included.

    `channels` name each token's place (`harmony.channels.channels_of`); without them every token
    is in 'all' only. `on_text` is told sequences done and in total. Without `reap` the experts'
    faster path stays in use. `fill(cache)` puts virtual tokens, of which nothing is counted, in
    front of each sequence. Model and caches are as before afterwards, also after an interrupt.
    Raises InputError where there are no tokens.
    """
    from gptoss_magic.model.packs import packs

    places = channels or [()] * len(sequences)
    tally, done = Tally(model.config), 0
    for pack in packs([len(ids_T) for ids_T in sequences], CHUNK):
        on_text(done, len(sequences))
        texts = [sequences[number] for number in pack]
        for number, routed in zip(pack, _routed_texts(model, texts, fill, reap=reap), strict=True):
            tally.add(*routed, places[number])
        done = pack[-1] + 1
    on_text(len(sequences), len(sequences))
    return tally.scores(about, baseline)


def scores_of(
    traces: Iterable[RoutingTrace],
    config: ModelConfig,
    about: Mapping[str, Any] | None = None,
    baseline: Scores | None = None,
) -> Scores:
    """Scores of what answers recorded as they were made; no forward, and so no `reap`."""
    tally = Tally(config)
    for trace in traces:
        tally.add(trace.ids, trace.weights, None, trace.channels)
    return tally.scores(about, baseline)


class Tally:
    """Sums over samples; all arrays are numpy."""

    def __init__(self, config: ModelConfig) -> None:
        import numpy as np

        self.shape = (config.num_hidden_layers, config.num_local_experts)
        self.top_k = config.num_experts_per_tok
        self.sums = {name: np.zeros((5, *self.shape)) for name in ("share", "gate", "norm", "uses")}
        self.samples = np.zeros(5, dtype=np.int64)
        self.tokens = np.zeros(5, dtype=np.int64)
        self.num_samples, self.norms = 0, True

    def add(self, ids: Any, weights: Any, norms: Any, places: Sequence[str]) -> None:
        """One sample: ids, weights and weight × norm [T, L, k]; places [T], or none."""
        import numpy as np

        if not len(ids):
            return
        if ids.shape[1:] != (self.shape[0], self.top_k) or ids.max() >= self.shape[1]:
            raise InputError(
                f"a trace of {ids.shape[1]} layers, {ids.shape[2]} experts a token, expert "
                f"{ids.max()}: this model has {self.shape[0]} layers of {self.shape[1]}, and "
                f"{self.top_k} a token; score it with its own model"
            )
        self.num_samples += 1
        self.norms &= norms is not None
        where = [PLACES.get(place, PROMPT) for place in places] or [(ALL,)] * len(ids)
        for c, channel in enumerate(CHANNELS):
            chosen_T = np.array([channel in names for names in where], dtype=bool)
            if chosen_T.any():
                parts = (p[chosen_T] if p is not None else None for p in (ids, weights, norms))
                self._add(c, *parts)

    def _add(self, c: int, ids: Any, weights: Any, norms: Any) -> None:
        """One sample's tokens of channel number `c`."""
        uses_LE, gate_LE = self._binned(ids, None), self._binned(ids, weights)
        self.sums["share"][c] += uses_LE / uses_LE.sum(1, keepdims=True)
        self.sums["gate"][c] += gate_LE / gate_LE.sum(1, keepdims=True)
        self.sums["uses"][c] += uses_LE
        if norms is not None:
            self.sums["norm"][c] += self._binned(ids, norms)
        self.samples[c] += 1
        self.tokens[c] += len(ids)

    def _binned(self, ids: Any, values: Any) -> Any:
        """[L, E]: sums of `values` (or counts) over the routes [T, L, k] to each expert."""
        import numpy as np

        num_layers, num_experts = self.shape
        at = ids.astype(np.int64) + (np.arange(num_layers) * num_experts)[:, None]
        given = None if values is None else values.ravel().astype(np.float64)
        sums = np.bincount(at.ravel(), given, num_layers * num_experts)
        return sums.reshape(num_layers, num_experts).astype(np.float64)

    def scores(self, about: Mapping[str, Any] | None, baseline: Scores | None) -> Scores:
        """The means. Raises InputError where nothing was added."""
        import numpy as np

        if not self.samples[0]:
            raise InputError("routing: no tokens to score; give texts that are not empty")
        seen = {name: c for c, name in enumerate(CHANNELS) if self.samples[c]}
        means: dict[str, dict[str, Any]] = {
            kind: {name: self.sums[kind][c] / self.samples[c] for name, c in seen.items()}
            for kind in ("share", "gate")
        }
        each = self.sums["norm"] / np.maximum(self.sums["uses"], 1)
        reap = {n: each[c] / each[c].sum(1, keepdims=True) for n, c in seen.items() if self.norms}
        return Scores(
            **means,
            reap=reap,
            tokens={name: int(self.tokens[c]) for name, c in seen.items()},
            num_samples=self.num_samples,
            top_k=self.top_k,
            about=about or {},
            baseline=baseline,
        )


def _routed_texts(
    model: Model,
    texts: Sequence[Sequence[int]],
    fill: Callable[[Any], None],
    *,
    reap: bool,
) -> Iterator[tuple[Any, Any, Any]]:
    """As `_routed` of each text; several share a sequence, unseen by each other."""
    from gptoss_magic.model.kv_cache import KVCache

    cache = KVCache(model.config)
    fill(cache)
    routed = None if cache.get_seq_length() else _together(model, texts, reap=reap)
    if routed is None:
        yield from (_routed(model, ids_T, fill, reap=reap) for ids_T in texts)
        return
    ids, weights, norms = routed
    first = 0
    for ids_T in texts:
        part = slice(first, first + len(ids_T))
        yield ids[part], weights[part], None if norms is None else norms[part]
        first = part.stop


def _together(
    model: Model, texts: Sequence[Sequence[int]], *, reap: bool
) -> tuple[Any, Any, Any] | None:
    """As `_routed` of all texts, one behind the other; None for one that has to go in chunks."""
    import torch

    from gptoss_magic.model.reading import by_steps, read

    nothing = [()] * len(texts)
    with torch.no_grad(), _seen(model, reap=reap) as take:
        if by_steps(model, texts, nothing) is None:
            if len(texts) == 1:
                return None
            read(model, texts, nothing, by_modules=True)
        return take()


def _routed(
    model: Model, ids_T: Sequence[int], fill: Callable[[Any], None], *, reap: bool
) -> tuple[Any, Any, Any]:
    """(ids, weights, weight × norm of the expert's output), numpy [T, L, k]; no norms: None."""
    import numpy as np
    import torch

    from gptoss_magic.model.kv_cache import KVCache

    cache, parts = KVCache(model.config), []
    fill(cache)
    with torch.no_grad(), _seen(model, reap=reap) as take:
        ids_1T = torch.tensor([list(ids_T)], device=model.device)
        for chunk in torch.split(ids_1T, CHUNK, dim=1):
            model.get_decoder()(chunk, **given_cache(cache), use_cache=True)
            parts.append(take())
    ids, weights, norms = zip(*parts, strict=True)
    return np.concatenate(ids), np.concatenate(weights), np.concatenate(norms) if reap else None


@contextmanager
def _seen(model: Model, *, reap: bool) -> Iterator[Callable[[], tuple[Any, Any, Any]]]:
    """While entered, what is given tells of the latest forward what `_routed` gives."""
    import torch

    from gptoss_magic.model.router import Capture

    with Capture(model) as capture, _norms(model, on=reap) as norms:

        def take() -> tuple[Any, Any, Any]:
            ids, weights_TLk = capture.take()
            weights = weights_TLk.float().cpu().numpy()
            if not reap:
                return ids.cpu().numpy(), weights, None
            flat = torch.stack([norms[layer].to(ids.device) for layer in sorted(norms)], 1)
            norms_TLk = flat.cpu().numpy().reshape(ids.shape)
            return ids.cpu().numpy(), weights, norms_TLk * weights

        yield take


@contextmanager
def _norms(model: Model, *, on: bool) -> Iterator[dict[int, Any]]:
    """‖output‖₂ by layer of each route [T, k] of the latest forward, while entered."""
    import torch

    found: dict[int, Any] = {}
    taps = [layer.mlp.experts.taps for layer in model.get_decoder().layers] if on else []
    before = [tap.watch for tap in taps]

    def watcher(layer: int) -> Callable[[Any, Any, Any], None]:
        def watch(y_SH: Any, order_S: Any, _offsets: Any) -> None:
            norm_S = torch.linalg.vector_norm(y_SH.float(), dim=-1)
            routes = torch.empty_like(norm_S).index_copy(0, order_S, norm_S)
            found[layer] = routes.view(-1, model.config.num_experts_per_tok)

        return watch

    try:
        for layer, tap in enumerate(taps):
            tap.watch = watcher(layer)
        yield found
    finally:
        for tap, old in zip(taps, before, strict=True):
            tap.watch = old
