"""What a memory needs of the table that its items lie in, wherever that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Protocol

from gptoss_magic.retrieval.items import Item

Rewritten = Mapping[str, Sequence[Item]]
NUMBERS = ("turn",)
FIELDS = tuple(one.name for one in fields(Item) if one.name not in ("id", "score"))


class ItemTable(Protocol):
    """Items by their ids, of all notebooks. Methods raise StorageError."""

    def add(self, items: Sequence[Item]) -> None:
        """Keep the items whose ids are not there yet, in one step."""
        ...

    def all(self) -> list[Item]:
        """Every item, in no order."""
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


def item_of(row: Mapping[str, Any]) -> Item:
    """A row of a table; one of an older version has fewer fields."""
    return Item(id=row["id"], **{name: row[name] for name in FIELDS if name in row})


def row_of(item: Item) -> dict[str, Any]:
    """The item's fields, without its score."""
    row = asdict(item)
    del row["score"]
    return row
