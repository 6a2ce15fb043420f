"""Keys and values of several rows that grow apart: the cache of a batch.

Rows lie one behind the other without gaps, so that a forward sees a view, never a copy.
Legend: B rows of a forward, H key-value heads, L tokens held, T new tokens, D head size; buffers
are [rows, H, capacity, D].
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from gptoss_magic.model.fed import Fed
from gptoss_magic.model.kv_cache import addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.kv_cache import KVCache
    from gptoss_magic.model.protocol import ModelConfig


class RowsLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer; `window` 0 shows all keys. The cache says which rows a forward feeds."""

    keys: Any
    values: Any

    def __init__(self, cache: RowsCache, window: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cache, self.window = cache, window
        self.is_sliding = window > 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        _, heads, _, size = key_states.shape
        shape = (self.cache.num_rows, heads, self.cache.capacity, size)
        self.keys, self.values = key_states.new_zeros(shape), value_states.new_zeros(shape)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write [B, H, T, D] behind each row's tokens; gives the keys and values to see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        cache = self.cache
        rows = slice(cache.first, cache.first + len(key_states))
        places_BT = cache.positions().to(key_states.device)
        rows_B1 = torch.arange(rows.start, rows.stop, device=key_states.device)[:, None]
        self.keys[rows_B1, :, places_BT] = key_states.transpose(1, 2)
        self.values[rows_B1, :, places_BT] = value_states.transpose(1, 2)
        seen = slice(*cache.seen(self.window))
        return self.keys[rows, :, seen], self.values[rows, :, seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(keys shown, index of the first)."""
        start, stop = self.cache.seen(self.window)
        return stop - start, start

    def get_seq_length(self) -> int:
        """Tokens of the longest row."""
        return max(self.cache.lengths, default=0)

    def get_max_length(self) -> int:
        """Tokens that a row has room for."""
        return self.cache.capacity


class RowsCache(Cache):
    """`lengths` has the tokens of each row. `num_rows` and `capacity` bound the buffers."""

    def __init__(self, config: ModelConfig, num_rows: int, capacity: int) -> None:
        self.num_rows, self.capacity = num_rows, capacity
        self.lengths: list[int] = []
        self.first, self.num_new = 0, 0
        windows = {
            kind: config.sliding_window if "sliding" in kind else 0 for kind in config.layer_types
        }
        self.windows = windows
        self._shape = (1, config.num_key_value_heads, 0, config.head_dim)
        super().__init__(layers=[RowsLayer(self, windows[kind]) for kind in config.layer_types])

    def join(self, count: int, start: KVCache, length: int) -> None:
        """Add `count` rows that begin with the first `length` tokens of `start`."""
        rows = slice(len(self.lengths), len(self.lengths) + count)
        self.lengths += [length] * count
        if not length:
            return
        for mine, theirs in zip(self._held(), list[Any](start.layers), strict=True):
            if not mine.is_initialized:
                mine.lazy_initialization(theirs.keys, theirs.values)
            mine.keys[rows, :, :length] = theirs.keys[:, :, :length]
            mine.values[rows, :, :length] = theirs.values[:, :, :length]

    def leave(self, row: int) -> None:
        """Forget one row; the last one takes its place."""
        last = len(self.lengths) - 1
        length = self.lengths[last]
        for layer in self._held() if row != last else ():
            layer.keys[row, :, :length] = layer.keys[last, :, :length]
            layer.values[row, :, :length] = layer.values[last, :, :length]
        self.lengths[row] = length
        self.lengths.pop()

    def expect(self, first: int, num_new: int) -> None:
        """The next forward feeds `num_new` tokens to each row from `first` on."""
        self.first, self.num_new = first, num_new

    def positions(self) -> torch.Tensor:
        """Where the next tokens of each row stand, [B, T]."""
        starts_B = torch.tensor(self.lengths[self.first :])
        return starts_B[:, None] + torch.arange(self.num_new)

    def seen(self, window: int) -> tuple[int, int]:
        """(first, end) of the keys that some new token sees."""
        starts = self.lengths[self.first :]
        first = max(0, min(starts) - window + 1) if window else 0
        return first, max(starts) + self.num_new

    def fed(self, first: int, pieces: Sequence[Sequence[int]], dtype: torch.dtype) -> Fed:
        """`pieces` behind each row from `first` on."""
        layers, empty = self._held(), torch.empty(self._shape, dtype=dtype)
        for layer in layers:
            if not layer.is_initialized:
                layer.lazy_initialization(empty, empty)
        starts, sizes = self.lengths[first:], [len(piece) for piece in pieces]
        places = [
            place
            for start, size in zip(starts, sizes, strict=True)
            for place in range(start, start + size)
        ]
        caches = [
            at for layer in layers for at in addresses(layer.keys, layer.values, first, len(pieces))
        ]
        return Fed([*chain.from_iterable(pieces)], places, sizes, caches)

    def masks(self, dtype: torch.dtype, device: Any) -> dict[str, torch.Tensor]:
        """By kind of layer what is added to the scores, [B, 1, T, L]: 0, or the least number."""
        return {kind: self._mask(window).to(device, dtype) for kind, window in self.windows.items()}

    def _mask(self, window: int) -> torch.Tensor:
        keys_L, at_BT1 = torch.arange(*self.seen(window)), self.positions()[..., None]
        hidden_BTL = keys_L > at_BT1
        if window:
            hidden_BTL |= keys_L <= at_BT1 - window
        least = torch.finfo(torch.bfloat16).min
        return torch.zeros(hidden_BTL.shape).masked_fill(hidden_BTL, least)[:, None]

    def _held(self) -> list[Any]:
        return list(self.layers)
