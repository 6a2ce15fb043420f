"""The contract of a vector store: rows under ids, each with its fields and a vector.

Our embedder makes the vectors, and what compares them is the cosine, in [-1, 1], higher is better.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.folding import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
TEXT, NUMBER = "text", "number"
MOST_DIM = 65_536
COLUMN = re.compile(r"[a-z][a-z_]{0,30}")
TAKEN = {"id", "key", "vector", "row_id"}
EVERY_BATCH = 1000  # rows that `walk` gives at a time
INDEX, MEMORY = "index", "memory"

Value = str | int


@dataclass(frozen=True)
class StoreFacts:
    """What a store was made for, kept in it: another embedder's vectors are never put beside.

    `holds`: 'index' or 'memory'. `columns`: each field's kind, 'text' or 'number'; the words of
    'words' are those that are searched, as `folding.searchable` writes them.
    """

    holds: str
    embedder: str
    dim: int
    columns: Mapping[str, str]

    def as_json(self) -> str:
        """As `facts_of` reads it."""
        made = {"holds": self.holds, "embedder": self.embedder, "dim": self.dim}
        return json.dumps({"gptoss_magic": FORMAT, **made, "columns": dict(self.columns)})


def facts_of(text: Any, name: str) -> StoreFacts:
    """The facts that a store keeps, checked: it may be anybody's. Raises InputError."""
    try:
        told = json.loads(text)
        columns = {str(key): str(kind) for key, kind in told["columns"].items()}
        facts = StoreFacts(str(told["holds"]), str(told["embedder"]), int(told["dim"]), columns)
        version = told["gptoss_magic"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{name}: a store that gptoss_magic did not make; give another place"
        ) from error
    if version != FORMAT:
        raise InputError(
            f"{name}: made by another version of gptoss_magic (format {printable(str(version))}, "
            f"here {FORMAT}); make it anew with another --store"
        )
    checked_facts(facts, name)
    return facts


def checked_facts(facts: StoreFacts, name: str) -> None:
    """Raise InputError for what no store of ours has."""
    if not 0 < facts.dim <= MOST_DIM:
        raise InputError(
            f"{name}: vectors of {facts.dim} numbers: such a store holds vectors; give an embedder "
            "that makes some, such as --embedder wordllama-256"
        )
    good = all(COLUMN.fullmatch(column) and column not in TAKEN for column in facts.columns)
    if not good or not set(facts.columns.values()) <= {TEXT, NUMBER} or WORDS not in facts.columns:
        raise InputError(f"{name}: columns that no store of gptoss_magic has; give another place")


@dataclass(frozen=True, eq=False)
class StoredRow:
    """A row: its `id`, a value for each column, and its vector, float32 [dim], None if not read.

    A vector of zeros says nothing: the row is kept, and found by its words alone.
    """

    id: str
    fields: Mapping[str, Value]
    vector: Any = None


@dataclass(frozen=True)
class Where:
    """Rows whose column has one of the values, for each column of `among`.

    `sql`: the user's own condition besides, where the store can read one (`has_sql`).
    """

    among: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    sql: str = ""

    @property
    def is_every(self) -> bool:
        return not (self.among or self.sql)

    @property
    def is_none(self) -> bool:
        """Whether no row can be meant: a column may have none of no values."""
        return not all(self.among.values())

    def fits(self, fields: Mapping[str, Value]) -> bool:
        """Whether a row with these fields is meant; `sql` is not looked at."""
        return all(fields[column] in values for column, values in self.among.items())


EVERY = Where()


class VectorStore(Protocol):
    """All of its changes are on the disk, or with the server, when the method returns.

    Whatever ends the process, each row is there once, as it was or as it is, when the store is
    opened again. Methods raise StorageError, and InputError for rows or conditions that do not fit.
    """

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> StoreFacts: ...

    @property
    def has_sql(self) -> bool: ...

    def add(self, rows: Sequence[StoredRow]) -> int:
        """Put in the rows whose ids are not there yet; how many."""
        ...

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        """Put in rows; one whose id is there takes its place."""
        ...

    def replace(self, rows: Sequence[StoredRow], where: Where) -> None:
        """Put in rows, and take out every other row of `where`."""
        ...

    def get(self, ids: Sequence[str]) -> list[StoredRow]:
        """The rows of these ids that are there, with their vectors, in the order of `ids`."""
        ...

    def delete(self, ids: Sequence[str]) -> int:
        """Take out rows; how many were there."""
        ...

    def filter(self, where: Where = EVERY) -> list[StoredRow]:
        """The rows of `where`, without their vectors, in the order of their ids."""
        ...

    def walk(self) -> Iterator[list[StoredRow]]:
        """All rows with their vectors, some at a time."""
        ...

    def search(self, vector: Any, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        """The k rows of `where` nearest to a vector, best first, each with its cosine."""
        ...

    def words(self, text: str, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        """The k rows of `where` that share most words with a text, best first, with a score > 0.

        The score is the store's own (BM25): it orders the rows of one search, no more.
        """
        ...

    def count(self) -> int:
        """How many rows there are."""
        ...

    def version(self) -> int:
        """A number that grows with every change; 0 where the store counts none."""
        ...

    def flush(self) -> None:
        """After many changes: let the store be quick to search, and to open again."""
        ...

    def close(self) -> None:
        """Let go of files and locks; a second time nothing happens."""
        ...

    def drop(self) -> None:
        """Delete the store, and all that is in it."""
        ...


def checked_rows(rows: Sequence[StoredRow], facts: StoreFacts, name: str) -> list[StoredRow]:
    """The last row of each id, with its vector as float32 [dim]. Raises InputError."""
    import numpy as np

    kept: dict[str, StoredRow] = {}
    for row in rows:
        if set(row.fields) != set(facts.columns):
            raise InputError(
                f"{name}: row {row.id}: fields {', '.join(sorted(row.fields))}; give "
                f"{', '.join(sorted(facts.columns))}"
            )
        vector = np.asarray(row.vector, np.float32)
        if vector.shape != (facts.dim,) or not np.isfinite(vector).all():
            raise InputError(f"{name}: row {row.id} has no vector: give {facts.dim} finite numbers")
        kept[row.id] = StoredRow(row.id, row.fields, vector)
    return list(kept.values())


def unit(vector: Any, dim: int, name: str) -> Any | None:
    """A query's vector, of length one; None where it is all zeros. Raises InputError."""
    import numpy as np

    made = np.asarray(vector, np.float32)
    if made.shape != (dim,) or not np.isfinite(made).all():
        raise InputError(f"{name}: a query needs a vector: give {dim} finite numbers")
    length = float(np.linalg.norm(made))
    return made / length if length else None


def units(vectors: Any) -> Any:
    """[n, dim], each row of length one or zero."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
