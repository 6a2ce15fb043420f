"""LanceDB by the contract of the stores: how an index or a memory moves to another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.folding import FOLDED, folded, words_column
from gptoss_magic.retrieval.stores.contract import (
    EVERY,
    EVERY_BATCH,
    INDEX,
    MEMORY,
    NUMBER,
    TEXT,
    StoredRow,
    StoreFacts,
    Where,
    checked_facts,
    checked_rows,
    unit,
)
from gptoss_magic.retrieval.upkeep import begin, tend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MANY = 1_000_000_000  # rows: no limit


@dataclass(frozen=True)
class Named:
    """What a table is made for: an embedder's name and dimensions."""

    name: str
    dim: int


class LanceStore:
    """The table of that name (see `store.place`); with `facts` it is made where it is not there.

    `columns` gives the Arrow schema of a table that holds no index. See `VectorStore`.
    """

    has_sql = True

    def __init__(
        self,
        name: str,
        facts: StoreFacts | None = None,
        columns: Callable[[Any], Any] | None = None,
    ) -> None:
        self.name, self._place = name, store.place(name)
        if facts is not None:
            checked_facts(facts, name)
            store.create_table(name, Named(facts.embedder, facts.dim), columns)
        self._table = store.open_table(name)
        self.facts = lance_facts(self._table, name)

    def add(self, rows: Sequence[StoredRow]) -> int:
        before = self.count()
        self._merged(rows, lambda merge: merge.when_not_matched_insert_all())
        return self.count() - before

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        self._merged(rows, _taking_places)

    def replace(self, rows: Sequence[StoredRow], where: Where) -> None:
        condition = self._condition(where)
        if rows:
            self._merged(
                rows,
                lambda merge: _taking_places(merge).when_not_matched_by_source_delete(condition),
            )
        else:
            self._delete(condition)

    def _merged(self, rows: Sequence[StoredRow], how: Callable[[Any], Any]) -> None:
        import pyarrow as pa

        made = checked_rows(rows, self.facts, self.name)
        if not made:
            return
        held = [{"id": row.id, **row.fields, "vector": row.vector} for row in made]
        data = pa.Table.from_pylist(held, schema=self._table.schema)
        with store.writing(self.name, lambda: None):
            begin(self._table, self.name)
            merge = how(self._table.merge_insert("id"))
            store.commit(self.name, lambda: merge.execute(data))

    def get(self, ids: Sequence[str]) -> list[StoredRow]:
        asked = self._table.search().where(_among("id", ids)).limit(MANY)
        found = {row.id: row for row in self._read(asked, has_vector=True)}
        return [found[one] for one in ids if one in found]

    def delete(self, ids: Sequence[str]) -> int:
        """The rows are gone from the newest version; older ones are kept for a week."""
        before = self.count()
        if ids:
            self._delete(_among("id", ids))
        return before - self.count()

    def _delete(self, condition: str) -> None:
        with store.writing(self.name, lambda: None):
            store.commit(self.name, lambda: self._table.delete(condition))

    def filter(self, where: Where = EVERY) -> list[StoredRow]:
        asked = self._narrowed(self._table.search(), where).limit(MANY)
        return sorted(self._read(asked), key=lambda row: row.id)

    def walk(self) -> Iterator[list[StoredRow]]:
        names = ["id", *self.facts.columns, "vector"]
        for batch in self._table.search().select(names).limit(MANY).to_batches(EVERY_BATCH):
            yield [_row(row, self.facts, has_vector=True) for row in batch.to_pylist()]

    def search(self, vector: Any, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        asked = unit(vector, self.facts.dim, self.name)
        if asked is None or k < 1:
            return []
        near = self._table.search(asked, vector_column_name="vector").distance_type("cosine")
        return self._scored(near, k, where, "_distance", lambda far: 1.0 - far)

    def words(self, text: str, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        if not text.strip() or not self.count():
            return []
        column = words_column(self._table)
        found = self._table.search(folded(text), query_type="fts", fts_columns=column)
        return self._scored(found, k, where, "_score", float)

    def _scored(
        self, query: Any, k: int, where: Where, name: str, score: Callable[[float], float]
    ) -> list[tuple[StoredRow, float]]:
        with store.storage_errors(self.name):
            rows = self._narrowed(query, where).limit(k).to_list()
        return [(_row(row, self.facts), score(row[name])) for row in rows]

    def count(self) -> int:
        number: int = self._table.count_rows()
        return number

    def version(self) -> int:
        number: int = self._table.version
        return number

    def flush(self) -> None:
        tend(self._table, self.name)

    def close(self) -> None:
        """Nothing is held between requests."""

    def drop(self) -> None:
        store.drop_table(self.name)

    def _narrowed(self, query: Any, where: Where) -> Any:
        return query if where.is_every else query.where(self._condition(where), prefilter=True)

    def _condition(self, where: Where) -> str:
        for column in where.among:
            if column not in self.facts.columns:
                raise InputError(f"{self.name}: no column {column}")
        parts = [_among(column, values) for column, values in where.among.items()]
        return " AND ".join([*parts, *([f"({where.sql})"] if where.sql else [])])

    def _read(self, query: Any, *, has_vector: bool = False) -> list[StoredRow]:
        names = ["id", *self.facts.columns, *(["vector"] if has_vector else [])]
        with store.storage_errors(self.name):
            rows = query.select(names).to_list()
        return [_row(row, self.facts, has_vector=has_vector) for row in rows]


def lance_facts(table: Any, name: str) -> StoreFacts:
    """What a table was made for. Raises InputError for one of others, and for an older one."""
    import json

    import pyarrow as pa

    told = json.loads((table.schema.metadata or {}).get(store.KEY, b"{}"))
    if "dim" not in told or FOLDED not in table.schema.names:
        raise InputError(f"{name}: a table that this version of gptoss_magic did not make")
    columns = {
        one.name: NUMBER if pa.types.is_integer(one.type) else TEXT
        for one in table.schema
        if one.name not in ("id", "vector")
    }
    holds = MEMORY if "memory" in told else INDEX
    facts = StoreFacts(holds, told["embedder"], told["dim"], columns)
    checked_facts(facts, name)
    return facts


def _taking_places(merge: Any) -> Any:
    return merge.when_matched_update_all().when_not_matched_insert_all()


def _among(column: str, values: Sequence[Any]) -> str:
    from lancedb.expr import col

    return str(col(column).isin(list(values)).to_sql()) if values else "false"


def _row(row: dict[str, Any], facts: StoreFacts, *, has_vector: bool = False) -> StoredRow:
    import numpy as np

    vector = np.asarray(row["vector"], np.float32) if has_vector else None
    return StoredRow(row["id"], {name: row[name] for name in facts.columns}, vector)
