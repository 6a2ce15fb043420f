"""Chunks in a vector store that the user named: Faiss, Chroma or Weaviate."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.folding import FOLDED, folded
from gptoss_magic.retrieval.held import COLUMNS
from gptoss_magic.retrieval.lance_chunks import CHUNK, OF_CHUNK, OF_SOURCE, embedded_texts
from gptoss_magic.retrieval.query import NUM_CANDIDATES, WORDS_WEIGHT, fused_ranks
from gptoss_magic.retrieval.stores.contract import INDEX, NUMBER, TEXT, StoredRow, StoreFacts, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from gptoss_magic.retrieval.chunk_table import Batches, DocumentChunk
    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.query import Query
    from gptoss_magic.retrieval.stores.contract import VectorStore
    from gptoss_magic.retrieval.stores.named import StorePlace

NUMBERS = ("number", "start", "first_line", "last_line")
COLUMN_KINDS = {
    name: NUMBER if name in NUMBERS else TEXT
    for name in (*OF_SOURCE, *(name for name in OF_CHUNK if name != "id"), FOLDED)
}


def index_facts(embedder: str, dim: int) -> StoreFacts:
    """Of a store of chunks."""
    return StoreFacts(INDEX, embedder, dim, COLUMN_KINDS)


class StoreChunks:
    """See `ChunkTable`. Raises InputError for a store that holds something else."""

    def __init__(self, name: str, store: VectorStore, where: StorePlace) -> None:
        self.name, self._store, self.kind, self.place = name, store, where.kind, str(where)
        if store.facts.holds != INDEX or dict(store.facts.columns) != COLUMN_KINDS:
            raise InputError(f"index {name}: what lies at {where} is no index")

    def about(self) -> tuple[str, int]:
        return self._store.facts.embedder, self._store.facts.dim

    def version(self) -> int:
        return self._store.version()

    def versions(self) -> list[tuple[int, Any]]:
        raise InputError(f"index {self.name}: {self.place} keeps no earlier versions")

    def count(self) -> int:
        return self._store.count()

    def known(self) -> dict[str, tuple[str, str]]:
        first = (row.fields for row in self._store.filter(Where({"number": [0]})))
        return {str(row["source"]): (str(row["digest"]), str(row["origin"])) for row in first}

    def hits(self, query: Query, limit: int) -> list[dict[str, Any]]:
        where = Where(sql=query.where or "")
        if not query.has_vector:
            found = self._store.words(query.words, limit, where) if query.words.strip() else []
            return [_hit(row, score) for row, score in found]
        if not query.words:
            near = self._store.search(query.vector, limit, where)
            return [_hit(row, score) for row, score in near]
        each = max(limit, NUM_CANDIDATES)
        by_words = self._store.words(query.words, each, where)
        by_vector = self._store.search(query.vector, each, where)
        rows = {row.id: row for row, _ in (*by_vector, *by_words)}
        orders = [(1.0, [row.id for row, _ in by_vector])]
        orders.append((WORDS_WEIGHT, [row.id for row, _ in by_words]))
        return [_hit(rows[one], score) for one, score in fused_ranks(orders, limit).items()]

    def of_source(self, source: str) -> list[dict[str, Any]]:
        rows = [_hit(row, 0.0) for row in self._store.filter(Where({"source": [source]}))]
        return sorted(rows, key=lambda row: int(row["number"]))

    def all(self) -> list[dict[str, Any]]:
        every = ({"id": row.id, **row.fields} for row in self._store.filter())
        return [{name: row[name] for name in CHUNK} for row in every]

    def writing(self, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """A store in a folder is this process's; a server's writers meet at the server."""
        return nullcontext()

    def begin(self) -> None:
        """Words are found from the first row on."""

    def write(
        self, batches: Batches, sources: Sequence[str], embedder: Embedder, *, is_new: bool
    ) -> int:
        rows = [row for part in batches() for row in _rows(part, embedder)]
        self._store.replace(rows, Where({"source": list(sources)}))
        return len(rows)

    def delete(self, sources: Sequence[str]) -> None:
        if sources:
            self._store.replace([], Where({"source": list(sources)}))

    def tend(self, *, always: bool = False) -> None:
        self._store.flush()


def _rows(part: Sequence[DocumentChunk], embedder: Embedder) -> list[StoredRow]:
    vectors = embedder.embed(embedded_texts(part))
    made = []
    for (document, chunk), vector in zip(part, vectors, strict=True):
        fields = {name: getattr(document, name) for name in OF_SOURCE}
        fields |= {name: getattr(chunk, name) for name in OF_CHUNK if name != "id"}
        made.append(StoredRow(chunk.id, {**fields, FOLDED: folded(chunk.text)}, vector))
    return made


def _hit(row: StoredRow, score: float) -> dict[str, Any]:
    return {**{name: row.fields[name] for name in COLUMNS}, "score": score}
