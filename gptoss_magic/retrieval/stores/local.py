"""A store in a folder of its own: rows in an SQLite file, and an index of vectors beside it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.stores.contract import (
    EVERY,
    EVERY_BATCH,
    checked_facts,
    checked_rows,
    unit,
    units,
)
from gptoss_magic.retrieval.stores.holding import HOLDER, LOCK, Hold
from gptoss_magic.retrieval.stores.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gptoss_magic.retrieval.stores.contract import StoredRow, StoreFacts, Where

ROWS = "rows.sqlite"
APPLIED = 5_000  # pending vectors that are read at a time


class VectorIndex(Protocol):
    """Nearest neighbours by key, beside the rows; vectors are of length one, float32 [n, dim]."""

    def put(self, keys: Sequence[int], vectors: Any, rows: Sequence[StoredRow]) -> None:
        """Take in vectors; a key that is there gets this one."""
        ...

    def take_out(self, keys: Sequence[int]) -> None:
        """Forget keys, those that are there."""
        ...

    def nearest(self, vector: Any, k: int) -> list[tuple[int, float]]:
        """(key, cosine), best first, at most k."""
        ...

    def save(self, sidecar: Sidecar) -> None:
        """Let what was put reach the disk, and tell the rows so."""
        ...

    def close(self) -> None: ...


class LocalStore:
    """`open_index(folder, sidecar)` gives the index of vectors. See `VectorStore`."""

    has_sql = True

    def __init__(
        self,
        folder: Path,
        name: str,
        open_index: Callable[[Path, Sidecar], VectorIndex],
        facts: StoreFacts | None = None,
    ) -> None:
        if facts is not None:
            checked_facts(facts, name)
        elif not (folder / ROWS).is_file():
            raise InputError(f"{name}: there is no store at {printable(folder)}")
        self.name, self._folder, self._turn = name, folder, RLock()
        self._is_over = False
        self._hold = Hold(folder, name)
        with ExitStack() as undone:
            undone.callback(self._hold.release)
            self._rows = Sidecar(folder / ROWS, name, facts)
            undone.callback(self._rows.close)
            self.facts = self._rows.facts
            self._index = open_index(folder, self._rows)
            undone.callback(self._index.close)
            self._catch_up()
            undone.pop_all()

    def _catch_up(self) -> None:
        """Tell the index what it has yet to learn of: a process died, or it was not saved."""
        there, gone = self._rows.pending()
        self._index.take_out(gone)
        for begin in range(0, len(there), APPLIED):
            self._put(there[begin : begin + APPLIED])
        if there or gone:
            self._index.save(self._rows)

    def _put(self, keys: Sequence[int]) -> None:
        """Rows into the index, but for those whose vector is all zeros."""
        known, vectors = self._rows.vectors_of(keys)
        said = vectors.any(axis=1)
        kept = [key for key, is_said in zip(known, said, strict=True) if is_said]
        if kept:
            self._index.put(kept, units(vectors[said]), list(self._rows.rows(kept).values()))

    def add(self, rows: Sequence[StoredRow]) -> int:
        made = checked_rows(rows, self.facts, self.name)
        with self._turn:
            known = self._rows.keys_of([row.id for row in made])
            new = [row for row in made if row.id not in known]
            if new:
                self._change(new)
        return len(new)

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        self._change(checked_rows(rows, self.facts, self.name))

    def replace(self, rows: Sequence[StoredRow], where: Where) -> None:
        made = checked_rows(rows, self.facts, self.name)
        with self._turn:
            self._change(made, self._rows.keys_where(where))

    def delete(self, ids: Sequence[str]) -> int:
        """The words and the vectors are gone from the files, too."""
        with self._turn:
            keys = list(self._rows.keys_of(ids).values())
            if keys:
                self._change((), keys)
                self.flush()
        return len(keys)

    def _change(self, rows: Sequence[StoredRow], gone: Sequence[int] = ()) -> None:
        with self._turn:
            new, old = self._rows.change(rows, gone)
            self._index.take_out(old)
            self._put(new)

    def get(self, ids: Sequence[str]) -> list[StoredRow]:
        keys = self._rows.keys_of(ids)
        asked = [keys[one] for one in ids if one in keys]
        return list(self._rows.rows(asked, has_vectors=True).values())

    def filter(self, where: Where = EVERY) -> list[StoredRow]:
        return self._rows.filter(where)

    def walk(self) -> Iterator[list[StoredRow]]:
        keys = self._rows.keys()
        for begin in range(0, len(keys), EVERY_BATCH):
            part = keys[begin : begin + EVERY_BATCH]
            yield list(self._rows.rows(part, has_vectors=True).values())

    def search(self, vector: Any, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        """All vectors of `where` are looked at; without one, the index is asked."""
        asked = unit(vector, self.facts.dim, self.name)
        if asked is None or k < 1:
            return []
        with self._turn:
            near = self._index.nearest(asked, k) if where.is_every else self._exact(asked, k, where)
            rows = self._rows.rows([key for key, _ in near])
        return [(rows[key], score) for key, score in near if key in rows]

    def _exact(self, asked: Any, k: int, where: Where) -> list[tuple[int, float]]:
        import numpy as np

        keys, vectors = self._rows.vectors(where)
        said = vectors.any(axis=1)
        near = units(vectors[said]) @ asked
        found = np.asarray(keys)[said]
        best = np.argsort(-near, kind="stable")[:k]
        return [(int(found[n]), float(near[n])) for n in best]

    def words(self, text: str, k: int, where: Where = EVERY) -> list[tuple[StoredRow, float]]:
        return self._rows.words(text, k, where)

    def count(self) -> int:
        return self._rows.count()

    def version(self) -> int:
        return self._rows.version()

    def flush(self) -> None:
        """Words and vectors of rows that are gone are gone from the files, too."""
        with self._turn:
            self._rows.purge()
            self._index.save(self._rows)

    def close(self) -> None:
        with self._turn:
            if self._is_over:
                return
            self._is_over = True
            try:
                self._index.save(self._rows)
            finally:
                self._index.close()
                self._rows.close()
                self._hold.release()

    def drop(self) -> None:
        """The folder too, where nothing of others lies in it."""
        with self._turn:
            self._is_over = True
            self._index.close()
            self._rows.close()
            for path in self._folder.iterdir():
                if path.name in (LOCK, HOLDER):
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._hold.release()
            shutil.rmtree(self._folder, ignore_errors=True)
