"""Chunks in a LanceDB table: an index where no other store was named."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.folding import FOLDED, folded
from gptoss_magic.retrieval.held import COLUMNS, Held
from gptoss_magic.retrieval.query import hits
from gptoss_magic.retrieval.stores.named import LANCEDB
from gptoss_magic.retrieval.upkeep import begin, tend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from gptoss_magic.retrieval.chunk_table import Batches, DocumentChunk
    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.query import Query

OF_SOURCE = ("source", "origin", "digest", "kind")
OF_CHUNK = ("id", "number", "start", "first_line", "last_line", "heading", "text")
CHUNK = ("id", "source", "origin", "heading", "first_line", "last_line", "text")


class LanceChunks:
    """See `ChunkTable`. `table`: LanceDB's own, as it is or read-only as it was at `version`."""

    def __init__(self, name: str, version: int | None = None) -> None:
        self.name, self.table = name, store.open_table(name, version)
        self.kind, self.place = LANCEDB, store.place(name).uri
        self._held = Held()

    def about(self) -> tuple[str, int]:
        made = store.about(self.table, self.name)
        return made["embedder"], made["dim"]

    def version(self) -> int:
        number: int = self.table.version
        return number

    def versions(self) -> list[tuple[int, Any]]:
        return [(entry["version"], entry["timestamp"]) for entry in self.table.list_versions()]

    def count(self) -> int:
        number: int = self.table.count_rows()
        return number

    def known(self) -> dict[str, tuple[str, str]]:
        columns = ["source", "digest", "origin"]
        held = self.table.search().where("number = 0").select(columns).limit(self.count() + 1)
        rows = held.to_arrow().to_pylist()
        return {row["source"]: (row["digest"], row["origin"]) for row in rows}

    def hits(self, query: Query, limit: int) -> list[dict[str, Any]]:
        return hits(self.table, self.name, query, limit, self._held)

    def of_source(self, source: str) -> list[dict[str, Any]]:
        with store.storage_errors(self.name):
            asked = self.table.search().where(among([source]).to_sql()).select(COLUMNS)
            rows = asked.limit(self.count() + 1).to_arrow().to_pylist()
        return sorted(rows, key=lambda row: int(row["number"]))

    def all(self) -> list[dict[str, Any]]:
        every = self.table.search().select(list(CHUNK)).limit(self.count() + 1)
        rows: list[dict[str, Any]] = every.to_arrow().to_pylist()
        return rows

    def writing(self, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        return store.writing(self.name, on_wait)

    def begin(self) -> None:
        begin(self.table, self.name)

    def tend(self, *, always: bool = False) -> None:
        tend(self.table, self.name, always=always)

    def write(
        self, batches: Batches, sources: Sequence[str], embedder: Embedder, *, is_new: bool
    ) -> int:
        can_append = is_new and not store.place(self.name).is_remote
        write = append if can_append else partial(replace, sources=sources)
        made = partial(self._batches, batches, embedder)
        return write(self.table, made, name=self.name)

    def delete(self, sources: Sequence[str]) -> None:
        if sources:
            store.commit(self.name, lambda: self.table.delete(among(sources).to_sql()))

    def _batches(self, batches: Batches, embedder: Embedder) -> Iterator[Any]:
        for rows in batches():
            yield self._batch(rows, embedder)

    def _batch(self, rows: Sequence[DocumentChunk], embedder: Embedder) -> Any:
        """Chunks as an Arrow batch, each with the vector of its file's name, headings and text."""
        import numpy as np
        import pyarrow as pa

        columns: dict[str, Any] = {
            **{name: [getattr(document, name) for document, _ in rows] for name in OF_SOURCE},
            **{name: [getattr(chunk, name) for _, chunk in rows] for name in OF_CHUNK},
        }
        columns[FOLDED] = [folded(text) for text in columns["text"]]
        if embedder.dim:
            flat = np.asarray(embedder.embed(embedded_texts(rows)), np.float32).ravel()
            columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, embedder.dim)
        schema = self.table.schema
        return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def embedded_texts(rows: Sequence[DocumentChunk]) -> list[str]:
    """What is embedded of each chunk: its file's name, headings and text."""
    return [folded(f"{Path(d.source).name} {c.heading}\n{c.text}") for d, c in rows]


def append(table: Any, batches: Callable[[], Iterator[Any]], *, name: str) -> int:
    """One commit: rows of sources that the table has not, where nobody else writes; how many."""
    return _written(table, batches, name, table.add)


def replace(
    table: Any, batches: Callable[[], Iterator[Any]], *, sources: Sequence[str], name: str
) -> int:
    """One commit: the rows in, every other row of `sources` out; how many rows."""
    merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
    merge = merge.when_not_matched_by_source_delete(among(sources))
    return _written(table, batches, name, merge.execute)


def _written(
    table: Any, batches: Callable[[], Iterator[Any]], name: str, write: Callable[[Any], Any]
) -> int:
    """Commit what `batches` gives, made anew for each try, never all of it in memory."""
    import pyarrow as pa

    num_rows = 0

    def counted() -> Iterator[Any]:
        nonlocal num_rows
        num_rows = 0
        for batch in batches():
            num_rows += batch.num_rows
            yield batch

    store.commit(name, lambda: write(pa.RecordBatchReader.from_batches(table.schema, counted())))
    return num_rows


def among(sources: Sequence[str]) -> Any:
    """The filter `source IN sources`, as an expression: a path is data, never SQL."""
    from lancedb.expr import col

    return col("source").isin(list(sources))
