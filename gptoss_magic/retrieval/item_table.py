"""What a memory needs of the table that its items lie in, wherever that is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.retrieval.folding import folded
from gptoss_magic.retrieval.items import Item

if TYPE_CHECKING:
    from gptoss_magic.retrieval.embedders import Embedder

WORD = re.compile(r"\w{3,}")
Rewritten = Mapping[str, Sequence[Item]]
NUMBERS = ("turn",)
FIELDS = tuple(one.name for one in fields(Item) if one.name not in ("id", "score", "why"))


class ItemTable(Protocol):
    """Items by their ids, of all notebooks. Methods raise StorageError."""

    def add(self, items: Sequence[Item]) -> None:
        """Keep the items whose ids are not there yet, in one step."""
        ...

    def put(self, items: Sequence[Item]) -> None:
        """Keep items, each in the place of the one with its id, in one step."""
        ...

    def all(self) -> list[Item]:
        """Every item, in no order."""
        ...

    def facts(self, notebook: str | None) -> list[Item]:
        """The facts of one notebook, or of all (None), in no order."""
        ...

    def alike(self, query: str, texts: Sequence[str]) -> list[float]:
        """The cosine of each text to a query; without vectors 1 where they share a word, else 0."""
        ...

    def near(self, query: str, limit: int, notebook: str | None) -> list[Item]:
        """Items by words and vectors, fused by rank, best first, each with its cosine; of one
        notebook, or of all (None).
        """
        ...

    def num_episodes(self, conversation: str, notebook: str) -> int:
        """How many turns of a conversation there are."""
        ...

    def rewrite(self, changed: Rewritten) -> None:
        """In one step: in the place of each item named in `changed`, what stands there, if
        anything. What was there before is gone from the disk.
        """
        ...


def cosines(embedder: Embedder, query: str, texts: Sequence[str]) -> list[float]:
    """See `ItemTable.alike`."""
    import numpy as np

    if not embedder.dim:
        asked = set(WORD.findall(folded(query).casefold()))
        return [float(bool(asked & set(WORD.findall(folded(one).casefold())))) for one in texts]
    vectors = np.asarray(embedder.embed([folded(query), *map(folded, texts)]), np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)
    return [float(one) for one in units[1:] @ units[0]]


def item_of(row: Mapping[str, Any]) -> Item:
    """A row of a table; one of an older version has fewer fields."""
    return Item(id=row["id"], **{name: row[name] for name in FIELDS if name in row})


def row_of(item: Item) -> dict[str, Any]:
    """The item's fields, without those of a recall."""
    row = asdict(item)
    del row["score"], row["why"]
    return row
