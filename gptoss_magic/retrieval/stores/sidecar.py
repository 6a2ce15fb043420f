"""Rows in an SQLite file: fields, words and vectors; the truth that an index of vectors follows.

Each change is one transaction. It notes in `pending` which keys the index beside it has yet to
learn of, so that a process that dies between the two leaves nothing doubled or lost: whoever opens
the store next does what is noted.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.retrieval.folding import WORDS, searchable
from gptoss_magic.retrieval.stores.contract import EVERY, TEXT, StoredRow, Where, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gptoss_magic.retrieval.stores.contract import StoreFacts

LOOKED_UP = ("source", "notebook")  # columns that have an index
FACTS, VERSION = "facts", "version"
WORD = re.compile(r"\w+")
MOST_WORDS = 200  # of a query
LEAST = 1e-9  # bm25 of a word that stands everywhere
IN = "(SELECT value FROM json_each(?))"


class Sidecar:
    """The file at `path`; with `facts` it is made where it is not there.

    `key` of a row: a number that no other row had or will have; a row that changes gets a new one.
    Raises InputError for a file of others, StorageError.
    """

    def __init__(self, path: Path, name: str, facts: StoreFacts | None = None) -> None:
        self.name, self.path, self._turn = name, path, RLock()
        if not path.exists() and facts is None:
            raise InputError(f"{name}: there is no store at {path.parent}")
        with self._errors():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the disk
            self._make(facts)
        try:
            self.facts = facts_of(self.about(FACTS), name)
        except InputError:
            self._db.close()
            raise
        self._columns = list(self.facts.columns)

    def _make(self, facts: StoreFacts | None) -> None:
        known = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if known or facts is None:
            return
        with self._change():
            for line in tables(facts):
                self._db.execute(line)
            self.tell(FACTS, facts.as_json())
            self.tell(VERSION, "0")

    def close(self) -> None:
        with self._turn:
            self._db.close()

    def about(self, key: str) -> str | None:
        """What is told under `key`."""
        with self._reading() as db:
            row = db.execute("SELECT value FROM about WHERE key = ?", [key]).fetchone()
        return row and str(row[0])

    def tell(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", [key, value])

    def version(self) -> int:
        return int(self.about(VERSION) or 0)

    def count(self) -> int:
        with self._reading() as db:
            return int(db.execute("SELECT count(*) FROM rows").fetchone()[0])

    def change(
        self, rows: Sequence[StoredRow] = (), gone: Iterable[int] = ()
    ) -> tuple[list[int], list[int]]:
        """Put in rows and take out those of the keys `gone`: (new keys, in order; keys gone).

        A row whose id is there takes its place.
        """
        with self._turn, self._change():
            before = self._keys_of([row.id for row in rows])
            old = list(dict.fromkeys([*before.values(), *gone]))
            self._take_out(old)
            new = [self._put_in(row) for row in rows]
            self._db.executemany(
                "INSERT OR REPLACE INTO pending VALUES (?)", [(key,) for key in (*old, *new)]
            )
            if old or new:
                self.tell(VERSION, str(self.version() + 1))
        return new, old

    def _put_in(self, row: StoredRow) -> int:
        names = ", ".join(f'"{column}"' for column in self._columns)
        marks = ", ".join("?" * (len(self._columns) + 2))
        values = [row.fields[column] for column in self._columns]
        made = self._db.execute(
            f"INSERT INTO rows (id, {names}, vector) VALUES ({marks})",  # noqa: S608 (checked)
            [row.id, *values, row.vector.astype("<f4").tobytes()],
        )
        key = made.lastrowid
        assert key is not None
        self._db.execute(
            f"INSERT INTO stems (rowid, {WORDS}) VALUES (?, ?)",  # noqa: S608
            [key, row.fields[WORDS]],
        )
        return key

    def _take_out(self, keys: Sequence[int]) -> None:
        listed = [json.dumps(keys)]
        self._db.execute(
            f"INSERT INTO stems (stems, rowid, {WORDS}) "  # noqa: S608
            f"SELECT 'delete', key, {WORDS} FROM rows WHERE key IN {IN}",
            listed,
        )
        self._db.execute(f"DELETE FROM rows WHERE key IN {IN}", listed)  # noqa: S608

    def purge(self) -> None:
        """Words of rows that are gone are gone from the disk, too."""
        with self._turn, self._change():
            self._db.execute("INSERT INTO stems (stems) VALUES ('optimize')")

    def pending(self) -> tuple[list[int], list[int]]:
        """Keys that the index beside has yet to learn of: (those of rows, those gone)."""
        with self._reading() as db:
            there = db.execute("SELECT key FROM pending WHERE key IN (SELECT key FROM rows)")
            rows = [key for (key,) in there]
            none = db.execute("SELECT key FROM pending WHERE key NOT IN (SELECT key FROM rows)")
            return rows, [key for (key,) in none]

    def settled(
        self, keys: Iterable[int] | None = None, told: Sequence[tuple[str, str]] = ()
    ) -> None:
        """The index beside knows of `keys` (None: of all); `told` is kept in the same step."""
        with self._turn, self._change():
            if keys is None:
                self._db.execute("DELETE FROM pending")
            else:
                done = f"DELETE FROM pending WHERE key IN {IN}"  # noqa: S608
                self._db.execute(done, [json.dumps(list(keys))])
            for key, value in told:
                self.tell(key, value)

    def keys(self) -> list[int]:
        """Of all rows, ascending."""
        with self._reading() as db:
            return [key for (key,) in db.execute("SELECT key FROM rows ORDER BY key")]

    def keys_where(self, where: Where) -> list[int]:
        with self._reading(where) as db:
            clause, values = self._clause(where)
            return [key for (key,) in db.execute(f"SELECT key FROM rows{clause}", values)]  # noqa: S608

    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The keys of the ids that are there."""
        with self._reading():
            return self._keys_of(ids)

    def _keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        found = self._db.execute(
            f"SELECT id, key FROM rows WHERE id IN {IN}",  # noqa: S608
            [json.dumps(list(ids))],
        )
        return dict(found.fetchall())

    def filter(self, where: Where) -> list[StoredRow]:
        """Rows by their ids, without their vectors."""
        with self._reading(where) as db:
            clause, values = self._clause(where)
            found = db.execute(f"SELECT {self._names()} FROM rows{clause} ORDER BY id", values)  # noqa: S608
            return [self._row(row) for row in found]

    def rows(self, keys: Sequence[int], *, has_vectors: bool = False) -> dict[int, StoredRow]:
        """The rows of keys that are there, in that order."""
        names = f"{self._names()}, vector" if has_vectors else self._names()
        with self._reading() as db:
            found = db.execute(
                f"SELECT key, {names} FROM rows WHERE key IN {IN}",  # noqa: S608
                [json.dumps(list(keys))],
            )
            by_key = {row[0]: self._row(row[1:], has_vector=has_vectors) for row in found}
        return {key: by_key[key] for key in keys if key in by_key}

    def vectors(self, where: Where = EVERY) -> tuple[list[int], Any]:
        """(keys, float32 [n, dim]) of the rows of `where`."""
        clause, values = self._clause(where)
        with self._reading(where) as db:
            return self._matrix(db.execute(f"SELECT key, vector FROM rows{clause}", values))  # noqa: S608

    def vectors_of(self, keys: Sequence[int]) -> tuple[list[int], Any]:
        """(keys, float32 [n, dim]) of the rows of these keys that are there."""
        asked = f"SELECT key, vector FROM rows WHERE key IN {IN}"  # noqa: S608
        with self._reading() as db:
            return self._matrix(db.execute(asked, [json.dumps(list(keys))]))

    def _matrix(self, found: Iterable[tuple[int, bytes]]) -> tuple[list[int], Any]:
        import numpy as np

        rows = list(found)
        flat = np.frombuffer(bytearray().join(vector for _, vector in rows), "<f4")
        vectors = flat.reshape(len(rows), self.facts.dim)
        return [key for key, _ in rows], vectors.astype(np.float32, copy=False)

    def words(self, text: str, k: int, where: Where) -> list[tuple[StoredRow, float]]:
        """The best by SQLite's bm25, any of the words, each as its stem; the score is above 0."""
        typed = list(dict.fromkeys(WORD.findall(searchable(text).lower())))
        if not typed:
            return []
        query = " OR ".join(f'"{word}"' for word in typed[:MOST_WORDS])
        clause, values = self._clause(where, "AND")
        ranked = "SELECT rowid AS found, rank FROM stems WHERE stems MATCH ?"
        asked = f"SELECT rank, key FROM ({ranked}) JOIN rows ON key = found WHERE 1{clause}"  # noqa: S608
        with self._reading(where) as db:
            found = db.execute(f"{asked} ORDER BY rank LIMIT ?", [query, *values, k])
            ranks = {key: max(-rank, LEAST) for rank, key in found}
        return [(row, ranks[key]) for key, row in self.rows(list(ranks)).items()]

    def _names(self) -> str:
        return ", ".join(["id", *(f'"{column}"' for column in self._columns)])

    def _row(self, values: Sequence[Any], *, has_vector: bool = False) -> StoredRow:
        import numpy as np

        fields = dict(zip(self._columns, values[1:], strict=False))
        vector = np.frombuffer(values[-1], "<f4").astype(np.float32) if has_vector else None
        return StoredRow(values[0], fields, vector)

    def _clause(self, where: Where, begin: str = "WHERE") -> tuple[str, list[Any]]:
        parts, values = [], []
        for column, among in where.among.items():
            if column not in self.facts.columns:
                known = ", ".join(self.facts.columns)
                raise InputError(f"{self.name}: no column {column}; the columns are {known}")
            parts.append(f'"{column}" IN {IN}')
            values.append(json.dumps(list(among)))
        if where.sql:
            parts.append(f"({where.sql})")
        return (f" {begin} {' AND '.join(parts)}" if parts else ""), values

    @contextmanager
    def _reading(self, where: Where = EVERY) -> Iterator[sqlite3.Connection]:
        """Within, nothing can be written; a fault is the user's condition's, where there is one."""
        with self._turn, self._errors(where.sql):
            self._db.execute("PRAGMA query_only = ON")
            try:
                yield self._db
            finally:
                self._db.execute("PRAGMA query_only = OFF")

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self, sql: str = "") -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if sql:
                columns = ", ".join(self.facts.columns)
                raise InputError(f"where {sql!r}: {error}; the columns are {columns}") from error
            raise StorageError(f"{self.name}: {self.path}: {error}") from error


def tables(facts: StoreFacts) -> list[str]:
    """What makes the file's tables; those of `words` are looked up by their English stems."""
    columns = ", ".join(
        f'"{column}" {"TEXT" if kind == TEXT else "INTEGER"} NOT NULL'
        for column, kind in facts.columns.items()
    )
    words = f"{WORDS}, content='rows', content_rowid='key', tokenize='porter unicode61'"
    key = "key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE"
    looked_up = [column for column in LOOKED_UP if column in facts.columns]
    return [
        "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE pending (key INTEGER PRIMARY KEY)",
        f"CREATE TABLE rows ({key}, {columns}, vector BLOB NOT NULL)",
        f"CREATE VIRTUAL TABLE stems USING fts5({words})",
        *(f'CREATE INDEX rows_{column} ON rows("{column}")' for column in looked_up),
    ]
