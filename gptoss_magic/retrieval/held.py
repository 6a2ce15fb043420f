"""A small table kept in memory between queries: exact nearest neighbours, without its files."""

from __future__ import annotations

from typing import Any

HELD_ROWS = 20_000  # at 256 dimensions, some 40 MB
COLUMNS = ["source", "number", "start", "heading", "first_line", "last_line", "text"]


class Held:
    """What an index keeps in memory of its table; always of the table's newest version.

    The table is read at the second query of one version: a single query is answered from disk.
    """

    def __init__(self) -> None:
        self._version = -1
        self._rows: Any = None
        self._vectors: Any = None

    def nearest(self, table: Any, vector: Any, limit: int) -> Any | None:
        """The rows nearest by cosine, an Arrow table in that order; None: ask the table.

        `vector`: float32 [dim]. Rows whose vector is zero are left out, as LanceDB does.
        """
        import numpy as np

        if not self._is_current(table):
            return None
        unit = np.asarray(vector / np.linalg.norm(vector), np.float32)
        near = np.einsum("nd,d->n", self._vectors, unit)  # one thread: no wait for others
        best = np.argpartition(-near, limit)[:limit] if limit < len(near) else np.arange(len(near))
        best = best[np.argsort(-near[best], kind="stable")]
        best = best[np.isfinite(near[best])]
        return self._rows.take(best).append_column("_distance", [1.0 - near[best]])

    def _is_current(self, table: Any) -> bool:
        version = table.version
        if self._version != version:
            self._version, self._rows, self._vectors = version, None, None
            return False
        if self._rows is None:
            self._read(table, version)
        return self._rows is not None

    def _read(self, table: Any, version: int) -> None:
        """Read the table, where it is small and nobody wrote meanwhile."""
        import numpy as np

        if table.count_rows() > HELD_ROWS:
            return
        rows = table.search().select([*COLUMNS, "vector"]).limit(HELD_ROWS + 1).to_arrow()
        if table.version != version or not rows.num_rows:
            return
        flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = flat.reshape(rows.num_rows, -1).astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._rows = rows.select(COLUMNS).combine_chunks()
