"""Weaviate: a server that the user names; rows, words and vectors lie there.

A class of the server holds one store; what it was made for stands in the class's description. A
row's object has an id that follows from the row's, so that a repeated request changes nothing.
Several processes may use a store at a time: the server sees to that, and nothing is locked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.quoting import one_line
from gptoss_magic.retrieval.folding import WORDS, searchable
from gptoss_magic.retrieval.stores.contract import (
    EVERY,
    EVERY_BATCH,
    TEXT,
    StoredRow,
    Where,
    checked_facts,
    checked_rows,
    facts_of,
    unit,
)
from gptoss_magic.retrieval.stores.weaviate_class import (
    LONG,
    ROW_ID,
    class_name,
    object_id,
    schema,
)
from gptoss_magic.retrieval.stores.weaviate_wire import WeaviateWire, graphql_text, where_json
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.retrieval.stores.contract import StoreFacts

BATCH = 200  # objects in a request
MOST_FOUND = 10_000  # that a server gives or deletes at once (QUERY_MAXIMUM_RESULTS)


class WeaviateStore:
    """The class of `table` at `url`; with `facts` it is made where it is not there.

    See `VectorStore`. `replace` is two requests or more: where a process dies between them, rows
    are missing, the first of `rows` among them; none is doubled.
    """

    has_sql = False

    def __init__(self, url: str, table: str, name: str, facts: StoreFacts | None = None) -> None:
        self.name, self._wire, self.kind = name, WeaviateWire(url, name), class_name(table)
        if facts is not None:
            checked_facts(facts, name)
        known = self._wire.asked("GET", f"schema/{self.kind}", may_lack=True)
        if known is None and facts is None:
            raise InputError(f"{name}: {url} has no class {self.kind}; make the index first")
        if known is None and facts is not None:
            known = self._wire.asked("POST", "schema", schema(self.kind, facts))
        description = known.get("description") if isinstance(known, dict) else None
        self.facts = facts_of(description, name)

    def add(self, rows: Sequence[StoredRow]) -> int:
        made = checked_rows(rows, self.facts, self.name)
        known = {row.id for row in self._of_ids([row.id for row in made], has_vectors=False)}
        new = [row for row in made if row.id not in known]
        self._put(new)
        return len(new)

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        self._put(checked_rows(rows, self.facts, self.name))

    def replace(self, rows: Sequence[StoredRow], where: Where) -> None:
        """The first of `rows` comes last: where it is there, the others are."""
        made = checked_rows(rows, self.facts, self.name)
        self._delete(where)
        self._put(made[::-1])

    def _put(self, rows: Sequence[StoredRow]) -> None:
        for begin in range(0, len(rows), BATCH):
            objects = [self._object(row) for row in rows[begin : begin + BATCH]]
            answer = self._wire.asked("POST", "batch/objects", {"objects": objects})
            if not isinstance(answer, list) or len(answer) != len(objects):
                raise self._wire.strange()
            for one in answer:
                self._check(one.get("result") if isinstance(one, dict) else None)

    def _check(self, result: Any) -> None:
        """Raise StorageError for an object that was not taken: the request alone may have been."""
        if isinstance(result, dict) and result.get("status") != "SUCCESS":
            raise StorageError(
                f"{self.name}: weaviate: {one_line(str(result.get('errors')), 300)}; see its log"
            )

    def _object(self, row: StoredRow) -> dict[str, Any]:
        made = {
            "class": self.kind,
            "id": object_id(row.id),
            "properties": {ROW_ID: row.id, **row.fields},
        }
        return made | ({"vector": row.vector.tolist()} if row.vector.any() else {})

    def get(self, ids: Sequence[str]) -> list[StoredRow]:
        found = {row.id: row for row in self._of_ids(ids, has_vectors=True)}
        return [found[one] for one in ids if one in found]

    def _of_ids(self, ids: Sequence[str], *, has_vectors: bool) -> Iterator[StoredRow]:
        for begin in range(0, len(ids), BATCH):
            part = ids[begin : begin + BATCH]
            asked = {"where": where_json({ROW_ID: part}), "limit": len(part)}
            for found in self._found(asked, "vector" if has_vectors else "id"):
                more = found.get("_additional") if isinstance(found, dict) else None
                vector = more.get("vector") if isinstance(more, dict) else None
                yield self._row(found, vector, has_vector=has_vectors)

    def delete(self, ids: Sequence[str]) -> int:
        return sum(
            self._delete(Where({ROW_ID: ids[begin : begin + BATCH]}))
            for begin in range(0, len(ids), BATCH)
        )

    def _delete(self, where: Where) -> int:
        """All of `where`, at most MOST_FOUND at a time; how many."""
        if where.is_none:
            return 0
        match = {"class": self.kind, "where": where_json(where.among)}
        num = 0
        while True:
            answer = self._wire.asked(
                "DELETE", "batch/objects", {"match": match, "output": "minimal"}
            )
            try:
                results = answer["results"]
                matches, gone = int(results["matches"]), int(results["successful"])
                failed = int(results["failed"])
            except (KeyError, TypeError, ValueError) as error:
                raise self._wire.strange() from error
            num += gone
            if failed:
                raise StorageError(
                    f"{self.name}: weaviate: {counted(failed, 'row')} not deleted; delete again"
                )
            if matches <= gone or not gone:
                return num

    def filter(self, where: Where = EVERY) -> list[StoredRow]:
        """The server compares short, plain texts; for all others each row is looked at here."""
        self._check_where(where)
        rows: list[StoredRow] = []
        is_asked = bool(where.among) and _is_compared(where)
        if is_asked and not where.is_none:
            asked = {"where": where_json(where.among), "limit": MOST_FOUND}
            rows = [self._row(found) for found in self._found(asked, "id")]
        if not is_asked or len(rows) >= MOST_FOUND:
            every = (row for part in self._walked(has_vectors=False) for row in part)
            rows = [row for row in every if where.fits(row.fields)]
        return sorted(rows, key=lambda row: row.id)

    def walk(self) -> Iterator[list[StoredRow]]:
        return self._walked(has_vectors=True)

    def _walked(self, *, has_vectors: bool) -> Iterator[list[StoredRow]]:
        query = {"class": self.kind, "limit": str(EVERY_BATCH)}
        query |= {"include": "vector"} if has_vectors else {}
        while True:
            answer = self._wire.asked("GET", f"objects?{urlencode(query)}")
            try:
                objects = answer["objects"] or []
                last = str(objects[-1]["id"]) if objects else ""
                rows = [
                    self._row(one["properties"], one.get("vector"), has_vector=has_vectors)
                    for one in objects
                ]
            except (KeyError, TypeError, AttributeError) as error:
                raise self._wire.strange() from error
            if not rows:
                return
            yield rows
            query["after"] = last

    def search(self, vector: Any, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        asked = unit(vector, self.facts.dim, self.name)
        if asked is None or k < 1 or where.is_none:
            return []
        found = self._found(
            {"nearVector": {"vector": asked.tolist()}, "limit": k, **self._narrowed(where)},
            "distance",
        )
        return [(self._row(one), 1.0 - self._number(one, "distance")) for one in found]

    def words(self, text: str, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        if not text.strip() or where.is_none:
            return []
        found = self._found(
            {
                "bm25": {"query": searchable(text), "properties": [WORDS]},
                "limit": k,
                **self._narrowed(where),
            },
            "score",
        )
        return [(self._row(one), self._number(one, "score")) for one in found]

    def _narrowed(self, where: Where) -> dict[str, Any]:
        self._check_where(where)
        return {"where": where_json(where.among)} if where.among else {}

    def _check_where(self, where: Where) -> None:
        if where.sql:
            raise InputError(f"{self.name}: Weaviate reads no SQL: leave --where out")
        for column in where.among:
            if column not in self.facts.columns:
                known = ", ".join(self.facts.columns)
                raise InputError(f"{self.name}: no column {column}; the columns are {known}")

    def count(self) -> int:
        data = self._wire.graphql(f"{{ Aggregate {{ {self.kind} {{ meta {{ count }} }} }} }}")
        try:
            return int(data["Aggregate"][self.kind][0]["meta"]["count"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._wire.strange() from error

    def version(self) -> int:
        """0: a server counts no changes."""
        return 0

    def flush(self) -> None:
        """The server sees to it."""

    def close(self) -> None:
        """Nothing is held."""

    def drop(self) -> None:
        self._wire.asked("DELETE", f"schema/{self.kind}")

    def _found(self, arguments: dict[str, Any], additional: str) -> list[Any]:
        asked = graphql_text(arguments)[1:-1]
        names = " ".join([ROW_ID, *self.facts.columns])
        query = f"{{ Get {{ {self.kind}({asked}) {{ {names} _additional {{ {additional} }} }} }} }}"
        data = self._wire.graphql(query)
        try:
            return list(data["Get"][self.kind])
        except (KeyError, TypeError) as error:
            raise self._wire.strange() from error

    def _number(self, found: Any, name: str) -> float:
        try:
            return float(found["_additional"][name])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wire.strange() from error

    def _row(self, fields: Any, vector: Any = None, *, has_vector: bool = False) -> StoredRow:
        import numpy as np

        try:
            values = {
                column: str(fields[column]) if kind == TEXT else int(fields[column])
                for column, kind in self.facts.columns.items()
            }
            made = np.asarray(vector, np.float32) if vector else None
            if has_vector and made is None:
                made = np.zeros(self.facts.dim, np.float32)
            return StoredRow(str(fields[ROW_ID]), values, made)
        except (KeyError, TypeError, ValueError) as error:
            raise self._wire.strange() from error


def _is_compared(where: Where) -> bool:
    """Whether the server can: it trims what it compares, and keeps no long text for that."""
    texts = [str(value) for values in where.among.values() for value in values]
    return not set(LONG) & set(where.among) and all(text and text == text.strip() for text in texts)
