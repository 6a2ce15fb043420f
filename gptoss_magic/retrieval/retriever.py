"""The protocol of all that finds passages, and several of them asked at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.records import Passage


class Retriever(Protocol):
    """`search` gives at most `k` passages for `query`, best first, numbered from 1."""

    def search(self, query: str, k: int = 5) -> list[Passage]: ...


def in_turn(found: Iterable[list[Passage]], k: int) -> list[Passage]:
    """Passages of several searches in turn by rank, k at most, numbered as one list."""
    turns = [passage for rank in zip_longest(*found) for passage in rank if passage][:k]
    return [replace(passage, number=number) for number, passage in enumerate(turns, 1)]
