"""Items of a memory in a LanceDB table: where no other store was named."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.folding import FOLDED, folded, words_column
from gptoss_magic.retrieval.item_table import FIELDS, NUMBERS, cosines, item_of, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.item_table import Rewritten
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.store import MadeFor


class LanceItems:
    """The table at `place`, read anew for each request; `embedder` where it is not there yet.

    See `ItemTable`. Raises InputError for a table of others, and for another embedder.
    """

    def __init__(self, name: str, place: str, embedder: Embedder | None = None) -> None:
        self.name, self.place, self._embedder = name, place, embedder

    def add(self, items: Sequence[Item]) -> None:
        self._merge(items, lambda merge: merge.when_not_matched_insert_all())

    def put(self, items: Sequence[Item]) -> None:
        self._merge(
            items, lambda merge: merge.when_matched_update_all().when_not_matched_insert_all()
        )

    def _merge(self, items: Sequence[Item], how: Callable[[Any], Any]) -> None:
        with self.writing() as table:
            data = self._data(table, items)
            merge = how(table.merge_insert("id"))
            store.commit(self.name, lambda: merge.execute(data))
            _bring_up_to_date(table, self.name)

    def all(self) -> list[Item]:
        table = self._table()
        if table is None:
            return []
        return list(map(item_of, table.search().limit(table.count_rows() + 1).to_list()))

    def facts(self, notebook: str | None) -> list[Item]:
        table = self._table()
        if table is None:
            return []
        self._made(table)
        home = "" if notebook is None else f" AND {_of(notebook)}"
        found = table.search().where(f"kind = 'fact'{home}").limit(table.count_rows() + 1)
        return list(map(item_of, found.to_list()))

    def alike(self, query: str, texts: Sequence[str]) -> list[float]:
        table = self._table()
        return cosines(self._made(table), query, texts) if table is not None else []

    def near(self, query: str, limit: int, notebook: str | None) -> list[Item]:
        table = self._table()
        if table is None:
            return []
        found, where = self._query(table, query), "" if notebook is None else _of(notebook)
        with store.storage_errors(self.name):
            rows = (found.where(where, prefilter=True) if where else found).limit(limit).to_list()
        vector = self._made(table).embed([query])[0]
        return [replace(item_of(row), score=_cosine(row, vector)) for row in rows]

    def num_episodes(self, conversation: str, notebook: str) -> int:
        from lancedb.expr import col

        table = self._table()
        if table is None:
            return 0
        mine = col("conversation").isin([printable(conversation)]).to_sql()
        return int(table.count_rows(f"kind = 'episode' AND {mine} AND {_of(notebook)}"))

    def rewrite(self, changed: Rewritten) -> None:
        """One commit of all items, those in `changed` as what stands there, if anything.

        No version before it stays, so that what was deleted is deleted.
        """
        with self.writing() as table:
            items = [new for item in self.all() for new in changed.get(item.id, [item])]
            data = self._data(table, items)
            where = store.place(self.place)
            with store.storage_errors(self.name):
                db = store.connect(where.uri)
                made = db.create_table(where.table, data, mode="overwrite")
                _bring_up_to_date(made, self.name)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # nobody writes: it is locked
                    made.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def _query(self, table: Any, text: str) -> Any:
        from lancedb.rerankers import RRFReranker

        embedder = self._made(table)
        if not embedder.dim:
            return table.search(text, query_type="fts", fts_columns=words_column(table))
        vector = embedder.embed([text])[0]
        if not _has_text_index(table) or not vector.any():
            return table.search(vector, vector_column_name="vector").distance_type("cosine")
        both = table.search(query_type="hybrid", vector_column_name="vector")
        return both.vector(vector).text(text).distance_type("cosine").rerank(RRFReranker())

    def _data(self, table: Any, items: Sequence[Item]) -> Any:
        """Items as an Arrow table, each with its words and, where there are any, its vector."""
        import pyarrow as pa

        words = [folded(item.text) for item in items]
        rows = [row_of(item) | {FOLDED: text} for item, text in zip(items, words, strict=True)]
        embedder = self._made(table)
        if embedder.dim:
            for row, vector in zip(rows, embedder.embed(words), strict=True):
                row["vector"] = vector
        # a table of an older version has no folded text
        held = [{name: row[name] for name in table.schema.names} for row in rows]
        return pa.Table.from_pylist(held, schema=table.schema)

    def _made(self, table: Any) -> Embedder:
        """The embedder that filled the table. Raises InputError where another was asked for."""
        known = json.loads((table.schema.metadata or {}).get(store.KEY, b"{}"))
        if known.get("memory") != 1:
            raise InputError(
                f"memory {self.name}: another version made it; move {self.place}.lance away"
            )
        if self._embedder is None:
            self._embedder = embedder_named(known["embedder"])
        if self._embedder.name != known["embedder"]:
            raise InputError(f"memory {self.name}: made with the embedder {known['embedder']}")
        return self._embedder

    def _table(self) -> Any:
        """The table, or None where nothing was ever remembered."""
        where = store.place(self.place)
        if where.table not in store.names(where.uri):
            return None
        with store.storage_errors(self.name):
            return store.connect(where.uri).open_table(where.table)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """The table, made where there is none; no other process writes it meanwhile.

        One of an older version gets the columns that it lacks.
        """
        with store.writing(self.place, lambda: None):
            table = self._table()
            if table is None:
                embedder = self._embedder or embedder_named()
                table = store.create_table(self.place, embedder, memory_columns)
            lacking = [name for name in FIELDS if name not in table.schema.names]
            if lacking:
                self._made(table)
                store.commit(self.name, lambda: table.add_columns(dict.fromkeys(lacking, "''")))
            yield table


def folder() -> Path:
    """Where the memories lie, a table for each persona."""
    return store.home().parent / "memory"


def memory_columns(embedder: MadeFor) -> Any:
    """The Arrow schema of a memory's table."""
    import pyarrow as pa

    made = {"embedder": embedder.name, "dim": embedder.dim, "memory": 1}
    columns = [pa.field("id", pa.string(), nullable=False, metadata=store.UNIQUE)]
    columns += [
        pa.field(name, pa.int32() if name in NUMBERS else pa.string(), nullable=False)
        for name in FIELDS
    ]
    columns.append(pa.field(FOLDED, pa.string(), nullable=False))
    if embedder.dim:
        columns.append(pa.field("vector", pa.list_(pa.float32(), embedder.dim)))
    return pa.schema(columns, metadata={store.KEY: json.dumps(made).encode()})


def _bring_up_to_date(table: Any, name: str) -> None:
    """The text index, over all rows."""
    from lancedb.index import FTS

    if not _has_text_index(table):
        store.commit(name, lambda: table.create_index(words_column(table), config=FTS()))
    store.commit(name, table.optimize)


def _has_text_index(table: Any) -> bool:
    return any(index.columns == [words_column(table)] for index in table.list_indices())


def _of(notebook: str) -> str:
    from lancedb.expr import col

    return str(col("notebook").isin([notebook]).to_sql())


def _cosine(row: dict[str, Any], vector: Any) -> float:
    """1 where there are no vectors: then a word was found."""
    import numpy as np

    held = row.get("vector")
    if held is None:
        return 1.0
    size = float(np.linalg.norm(held) * np.linalg.norm(vector))
    return float(np.dot(held, vector)) / size if size else 0.0
