"""Probes: experts masked or forced while some text is read or written. Not how the model is.

Legend: T tokens, E experts, k experts a token.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gptoss_magic.model.protocol import Model, ModelConfig

    Pairs = Sequence[tuple[int, int]]


@contextmanager
def probing(model: Model, mask: Pairs = (), force: Pairs = ()) -> Iterator[None]:
    """While entered, (layer, expert) pairs in `mask` get no token, those in `force` every token.

    A masked expert's logit is −inf. Forced experts take places among the k from the lowest of the
    others, and keep their own logits in the softmax over the k: the weight is the one that the
    router itself would give in that company, which may be close to 0.
    KV caches filled meanwhile belong to the probe. Raises InputError, before anything is changed,
    for pairs the model does not have, for fewer than k experts left, for more than k forced, for
    one both masked and forced, and where a probe is active.
    """
    from gptoss_magic.model.router import routers

    found = routers(model)
    masked, forced = _by_layer(mask), _by_layer(force)
    for layer in sorted({*masked, *forced}):
        _check(layer, masked[layer], forced[layer], model.config)
    if any(router.probe is not None for router in found):
        raise InputError("a probe is active: one at a time; leave it first")
    try:
        for layer in {*masked, *forced}:
            router = found[layer]
            router.probe = _probe(router, sorted(masked[layer]), sorted(forced[layer]))
        yield
    finally:
        for router in found:
            router.probe = None


def parse_experts(spec: str, num_layers: int, num_experts: int) -> list[tuple[int, int]]:
    """(layer, expert) pairs of '3:7,5:0-3,2:*,*:9': layer and expert are a number, A-B or *.

    Raises InputError.
    """
    pairs: set[tuple[int, int]] = set()
    for part in filter(None, (word.strip() for word in spec.split(","))):
        layer, colon, expert = part.partition(":")
        if not colon:
            raise InputError(f"{part!r}: write LAYER:EXPERT, such as 3:7, 3:0-5, 3:* or *:7")
        for i in _numbers(layer, num_layers, "layers", part):
            pairs.update((i, e) for e in _numbers(expert, num_experts, "experts", part))
    return sorted(pairs)


def _numbers(text: str, count: int, noun: str, part: str) -> range:
    if text == "*":
        return range(count)
    found = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", text)
    if not found:
        raise InputError(f"{part!r}: {text!r} is no number, range A-B or *; write 3, 0-5 or *")
    numbers = range(int(found[1]), int(found[2] or found[1]) + 1)
    if not numbers or numbers[-1] >= count:
        raise InputError(f"{part!r}: {noun} go from 0 to {count - 1}: give one of those")
    return numbers


def _by_layer(pairs: Iterable[tuple[int, int]]) -> defaultdict[int, set[int]]:
    found: defaultdict[int, set[int]] = defaultdict(set)
    for layer, expert in pairs:
        found[layer].add(expert)
    return found


def _check(layer: int, masked: set[int], forced: set[int], config: ModelConfig) -> None:
    count, k = config.num_local_experts, config.num_experts_per_tok
    if not 0 <= layer < config.num_hidden_layers:
        raise InputError(
            f"layer {layer}: layers go from 0 to {config.num_hidden_layers - 1}: give one of those"
        )
    wrong = sorted(e for e in masked | forced if not 0 <= e < count)
    if wrong:
        raise InputError(f"{layer}:{wrong[0]}: experts go from 0 to {count - 1}: give one of those")
    if masked & forced:
        raise InputError(f"{layer}:{min(masked & forced)} is both masked and forced: choose one")
    if count - len(masked) < k:
        raise InputError(
            f"layer {layer}: {count - len(masked)} experts left, a token needs {k}: mask fewer"
        )
    if len(forced) > k:
        raise InputError(
            f"layer {layer}: {len(forced)} experts forced, a token goes to {k}: force fewer"
        )


def _probe(router: Any, masked: list[int], forced: list[int]) -> Callable[[Any], Any]:
    """What changes the logits [T, E] of one router."""
    import torch

    def probe(logits_TE: Any) -> Any:
        lowest = torch.finfo(logits_TE.dtype).min
        logits_TE = logits_TE.clone()
        logits_TE[:, masked] = -torch.inf
        if not forced:
            return logits_TE
        ranked_TE = logits_TE.clone()
        ranked_TE[:, forced] = torch.inf
        kept_Tk = torch.topk(ranked_TE, router.top_k, dim=-1).indices
        alone_TE = torch.full_like(logits_TE, -torch.inf)
        own_Tk = logits_TE.gather(1, kept_Tk).clamp(min=lowest)
        return alone_TE.scatter(1, kept_Tk, own_Tk)

    return probe
