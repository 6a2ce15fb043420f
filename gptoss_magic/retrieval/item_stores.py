"""Items of a memory in a vector store that the user named: Faiss, Chroma or Weaviate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.folding import FOLDED, folded
from gptoss_magic.retrieval.item_table import FIELDS, NUMBERS, cosines, item_of, row_of
from gptoss_magic.retrieval.query import fused_ranks
from gptoss_magic.retrieval.stores.contract import (
    EVERY,
    MEMORY,
    NUMBER,
    TEXT,
    StoredRow,
    StoreFacts,
    Where,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.item_table import Rewritten
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.stores.contract import VectorStore

COLUMN_KINDS = {name: NUMBER if name in NUMBERS else TEXT for name in (*FIELDS, FOLDED)}


def memory_facts(embedder: str, dim: int) -> StoreFacts:
    """Of a store of items."""
    return StoreFacts(MEMORY, embedder, dim, COLUMN_KINDS)


class StoreItems:
    """See `ItemTable`. Raises InputError for a store that holds something else."""

    def __init__(self, name: str, store: VectorStore, embedder: Embedder) -> None:
        facts = store.facts
        if facts.holds != MEMORY or dict(facts.columns) != COLUMN_KINDS:
            raise InputError(f"memory {name}: what lies at {store.name} is no memory")
        if (facts.embedder, facts.dim) != (embedder.name, embedder.dim):
            raise InputError(f"memory {name}: made with the embedder {facts.embedder}")
        self._store, self._embedder = store, embedder

    def add(self, items: Sequence[Item]) -> None:
        self._store.add(self._rows(items))

    def put(self, items: Sequence[Item]) -> None:
        self._store.upsert(self._rows(items))

    def all(self) -> list[Item]:
        return [_item(row) for row in self._store.filter()]

    def facts(self, notebook: str | None) -> list[Item]:
        home = {} if notebook is None else {"notebook": [notebook]}
        return [_item(row) for row in self._store.filter(Where({"kind": ["fact"], **home}))]

    def alike(self, query: str, texts: Sequence[str]) -> list[float]:
        return cosines(self._embedder, query, texts)

    def near(self, query: str, limit: int, notebook: str | None) -> list[Item]:
        import numpy as np

        where = EVERY if notebook is None else Where({"notebook": [notebook]})
        vector = self._embedder.embed([query])[0]
        by_vector = self._store.search(vector, limit, where)
        by_words = self._store.words(query, limit, where)
        rows = {row.id: row for row, _ in (*by_vector, *by_words)}
        scores = {row.id: score for row, score in by_vector}
        others = self._store.get([one for one in rows if one not in scores])
        length = float(np.linalg.norm(vector))
        for row in others:
            size = float(np.linalg.norm(row.vector)) * length
            scores[row.id] = float(np.dot(row.vector, vector)) / size if size else 0.0
        orders = [(1.0, [row.id for row, _ in found]) for found in (by_vector, by_words)]
        best = fused_ranks(orders, limit)
        return [replace(_item(rows[one]), score=scores.get(one, 0.0)) for one in best]

    def num_episodes(self, conversation: str, notebook: str) -> int:
        asked = {"kind": ["episode"], "conversation": [printable(conversation)]}
        return len(self._store.filter(Where({**asked, "notebook": [notebook]})))

    def rewrite(self, changed: Rewritten) -> None:
        gone, new = list(changed), [item for items in changed.values() for item in items]
        kept = {item.id for item in new}
        self._store.upsert(self._rows(new))
        self._store.delete([one for one in gone if one not in kept])
        self._store.flush()

    def _rows(self, items: Sequence[Item]) -> list[StoredRow]:
        words = [folded(item.text) for item in items]
        vectors = self._embedder.embed(words)
        made = []
        for item, text, vector in zip(items, words, vectors, strict=True):
            row = row_of(item) | {FOLDED: text}
            made.append(StoredRow(row.pop("id"), row, vector))
        return made


def _item(row: StoredRow) -> Item:
    return item_of({"id": row.id, **row.fields})
