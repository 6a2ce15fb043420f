"""Which texts share a sequence: each forward reads all weights, most of the time of short texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def packs(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of the texts that go together, in order: up to `most` tokens, or one text alone.

    Empty texts are left out.
    """
    pack: list[int] = []
    size = 0
    for number, length in enumerate(lengths):
        if pack and size + length > most:
            yield pack
            pack, size = [], 0
        if length:
            pack.append(number)
            size += length
    if pack:
        yield pack
