"""A KV cache that can be cut back to any length: all keys stay, sliding layers show their window.

Legend: B batch, H key-value heads, L tokens, D head size; buffers are [B, H, capacity, D].
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from gptoss_magic.model.fed import Fed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import ModelConfig

LEAST_CAPACITY = 256


def addresses(
    keys: torch.Tensor, values: torch.Tensor, first: int, num_rows: int
) -> list[tuple[int, int, int]]:
    """(address of keys, of values, values from head to head) of rows of [B, H, capacity, D]."""
    row_bytes, group_step = keys.stride(0) * keys.element_size(), keys.stride(1)
    starts = keys.data_ptr(), values.data_ptr()
    steps = range(first * row_bytes, (first + num_rows) * row_bytes, row_bytes)
    return [(starts[0] + step, starts[1] + step, group_step) for step in steps]


def fed_behind(
    caches: Sequence[KVCache], pieces: Sequence[Sequence[int]], dtype: torch.dtype
) -> Fed:
    """Each of `pieces` behind what its cache holds, with room for it; a cache is one row."""
    sizes, places = [len(piece) for piece in pieces], list[int]()
    for cache, size in zip(caches, sizes, strict=True):
        start = cache.get_seq_length()
        places += range(start, start + size)
        cache.reserve(start + size, dtype)
    by_layer = zip(*[list[Any](cache.layers) for cache in caches], strict=True)
    buffers = [
        at for row in by_layer for one in row for at in addresses(one.keys, one.values, 0, 1)
    ]
    return Fed([*chain.from_iterable(pieces)], places, sizes, buffers)


class KVLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer: buffers that grow by doubling; `window` 0 shows all keys."""

    is_croppable = True
    keys: Any
    values: Any

    def __init__(self, window: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window, self.length = window, 0
        self.is_sliding = window > 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        batch, heads, _, size = key_states.shape
        self.keys = key_states.new_empty(batch, heads, 0, size)
        self.values = value_states.new_empty(batch, heads, 0, size)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [B, H, L, D]; gives the keys and values that the new tokens may see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        first, last = self.length, self.length + key_states.shape[2]
        self.reserve(last)
        start = self._first_seen()
        self.keys[:, :, first:last] = key_states
        self.values[:, :, first:last] = value_states
        self.length = last
        return self.keys[:, :, start:last], self.values[:, :, start:last]

    def reserve(self, length: int) -> None:
        """Make room for `length` tokens; of each buffer by itself, so that an interrupt between the
        two leaves none behind.
        """
        room = max(LEAST_CAPACITY, 2 ** (length - 1).bit_length()) - self.length
        for name in ("keys", "values"):
            old = getattr(self, name)
            if length <= old.shape[2]:
                continue
            more = old.new_zeros(*old.shape[:2], room, old.shape[3])  # a graph weighs them by 0
            setattr(self, name, torch.cat([old[:, :, : self.length], more], dim=2))

    def _first_seen(self) -> int:
        """The first key that the token after the held ones sees."""
        return max(0, self.length - self.window + 1) if self.window else 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(keys shown, index of the first)."""
        start = self._first_seen()
        return self.length + query_length - start, start

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.length

    def get_max_length(self) -> int:
        """No maximum."""
        return -1

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last `tokens_to_remove` (as a negative number, transformers' way)."""
        self.length = max(0, self.length - abs(tokens_to_remove))


class KVCache(Cache):
    """Keys and values of all layers, exactly as a cold prefill would make them."""

    def __init__(self, config: ModelConfig) -> None:
        kinds = config.layer_types
        self._shape = (1, config.num_key_value_heads, 0, config.head_dim)
        super().__init__(
            layers=[KVLayer(config.sliding_window if "sliding" in kind else 0) for kind in kinds]
        )

    def cut(self, length: int) -> None:
        """Keep the first `length` tokens; also after an interrupt between two layers."""
        for layer in self._held():
            layer.length = min(layer.length, length)

    def copy_of(self, other: KVCache, length: int) -> None:
        """Take the first `length` tokens of `other` over; both go on apart."""
        for mine, theirs in zip(self._held(), other._held(), strict=True):
            if theirs.is_initialized:
                mine.is_initialized, mine.length = True, length
                mine.keys = theirs.keys[:, :, :length].clone()
                mine.values = theirs.values[:, :, :length].clone()

    def reserve(self, length: int, dtype: torch.dtype) -> None:
        """Make room for `length` tokens on a CPU, also before the first forward."""
        empty = torch.empty(self._shape, dtype=dtype)
        for layer in self._held():
            if not layer.is_initialized:
                layer.lazy_initialization(empty, empty)
            layer.reserve(length)

    def grow(self, num_tokens: int) -> None:
        """So many tokens more are in the buffers."""
        for layer in self._held():
            layer.length += num_tokens

    @property
    def num_bytes(self) -> int:
        """Bytes of all buffers."""
        held = [layer for layer in self._held() if layer.is_initialized]
        return sum(2 * layer.keys.numel() * layer.keys.element_size() for layer in held)

    def _held(self) -> list[Any]:
        return list(self.layers)
