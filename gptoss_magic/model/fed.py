"""New tokens and where their keys and values go, as the C++ step reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Fed:
    """New tokens, row by row: `ids` and their `places` [T].

    `sizes`: how many belong to each row. `caches`: layer by layer, and in each row by row, the
    addresses of its keys and values [key-value heads, capacity, D], which have room for them, and
    the distance between two heads in values. Whoever makes it keeps the buffers alive.
    """

    ids: Sequence[int]
    places: Sequence[int]
    sizes: Sequence[int]
    caches: Sequence[tuple[int, int, int]]
