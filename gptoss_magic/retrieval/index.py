"""`Index`: one table of chunks, kept up to date and searched by words and by meaning."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import Passage
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.chunks import chunk_id
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.ingest import Ingest, Ingested, known, origins
from gptoss_magic.retrieval.walk import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.loaders import Document

NUM_CANDIDATES = 50
COLUMNS = ["source", "number", "start", "heading", "first_line", "last_line", "text"]
WHERE = "source, kind, heading, text, first_line, last_line"


class Index:
    """An index by name, path or object store URI (see `store.place`).

    A table keeps the name and dimension of the embedder that filled it: another one is refused.
    """

    def __init__(self, name: str, table: Any, embedder: Embedder) -> None:
        self.name, self.table, self.embedder = name, table, embedder

    @classmethod
    def open(cls, name: str, embedder: Embedder | None = None, version: int | None = None) -> Index:
        """An index that is there; `version` for an earlier state, read-only. Raises InputError."""
        table = store.open_table(name, version)
        made = store.about(table, name)
        given = embedder or embedder_named(made["embedder"])
        if (given.name, given.dim) != (made["embedder"], made["dim"]):
            raise InputError(
                f"index {name}: made with {made['embedder']} ({made['dim']} dimensions), not "
                f"{given.name} ({given.dim}); %gptoss index drop {name}, then index its paths again"
            )
        return cls(name, table, given)

    @classmethod
    def create(cls, name: str, embedder: Embedder | None = None) -> Index:
        """The index, made where it is not there yet."""
        where = store.place(name)
        if where.table not in store.names(where.uri):
            store.create_table(name, embedder or embedder_named())
        return cls.open(name, embedder)

    def ingest(
        self,
        paths: Sequence[str],
        frames: Iterable[Document] = (),
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Ingested:
        """Index files, folders and patterns, and documents of DataFrames.

        Only changed files are read into the table again; what is gone from disk goes from it.
        An interrupt keeps what is done. `progress` is told bytes done, bytes in total and a file's
        name; `on_wait` is called once where another process writes the index.
        Raises InputError for a path that is not there, before anything is done.
        """
        for path in paths:
            check(path)
        return self._ingest(paths, frames, progress, on_wait)

    def refresh(
        self,
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
        on_wait: Callable[[], None] = lambda: None,
        frames: Iterable[Document] = (),
    ) -> Ingested:
        """Index again what is in the index; DataFrames stay as they are. See `ingest`."""
        return self._ingest(origins(self.table, self.name), frames, progress, on_wait)

    def _ingest(
        self,
        paths: Sequence[str],
        frames: Iterable[Document],
        progress: Callable[[int, int, str], None],
        on_wait: Callable[[], None],
    ) -> Ingested:
        with store.writing(self.name, on_wait):
            report = Ingest(self.table, self.embedder, self.name).run(paths, frames, progress)
            if report.finish == "return" and (report.changed or report.removed):
                self._optimize()
        return report

    def optimize(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Merge small files and bring the text index up to date. Versions are kept for a week."""
        with store.writing(self.name, on_wait):
            self._optimize()

    def _optimize(self) -> None:
        from lancedb.index import FTS

        if not self._has_text_index():
            store.commit(self.name, lambda: self.table.create_index("text", config=FTS()))
        store.commit(self.name, self.table.optimize)

    def _has_text_index(self) -> bool:
        return any(index.columns == ["text"] for index in self.table.list_indices())

    def search(
        self, query: str, k: int = 5, where: str | None = None, *, by: str = "both"
    ) -> list[Passage]:
        """Passages for `query`, best first, from the k best chunks; neighbours become one passage.

        Vectors and full text are fused by reciprocal rank (Cormack, Clarke and Buettcher 2009).
        `where`: the user's own SQL condition. `by`: 'words', 'vectors' or 'both'.
        Raises InputError.
        """
        if not query.strip():
            raise InputError("search: the query is empty")
        if k < 1:
            raise InputError(f"search: {k} passages; give 1 or more")
        rows = self._hits(query, max(NUM_CANDIDATES, k), where, by)[:k]
        return passages(self.name, rows)

    def ranked(self, query: str, k: int, *, by: str = "both") -> list[str]:
        """Ids of the k best chunks, best first."""
        rows = self._hits(query, max(NUM_CANDIDATES, k), None, by)[:k]
        return [chunk_id(row["source"], row["number"]) for row in rows]

    def _hits(self, query: str, limit: int, where: str | None, by: str) -> list[dict[str, Any]]:
        hits = self._query(query, by).select(COLUMNS).limit(limit)
        if not where:
            with store.storage_errors(self.name):
                return list(hits.to_list())
        try:
            return list(hits.where(where, prefilter=True).to_list())
        except (ValueError, RuntimeError, OSError) as error:
            reason = re.sub(r"\s+", " ", str(error))[:200]
            raise InputError(f"where {where!r}: {reason}; the columns are {WHERE}") from error

    def _query(self, text: str, by: str) -> Any:
        """A LanceDB query: hybrid, or by words or vectors alone where there is no more."""
        from lancedb.rerankers import RRFReranker

        if by not in ("both", "words", "vectors"):
            raise InputError(f"search by {by!r}: give 'both', 'words' or 'vectors'")
        if not self.embedder.dim or by == "words":
            return self.table.search(text, query_type="fts", fts_columns="text")
        vector = self.embedder.embed([text])[0]
        if by == "vectors" or not self._has_text_index() or not vector.any():
            return self.table.search(vector, vector_column_name="vector").distance_type("cosine")
        both = self.table.search(query_type="hybrid", vector_column_name="vector")
        both = both.vector(vector).text(text).distance_type("cosine")
        return both.rerank(RRFReranker())

    def info(self) -> dict[str, Any]:
        """What the index holds, as plain values."""
        made = store.about(self.table, self.name)
        held = known(self.table)
        return {
            "index": self.name,
            "folder": store.place(self.name).uri,
            "files": len(held),
            "chunks": self.table.count_rows(),
            "embedder": made["embedder"],
            "dimensions": made["dim"],
            "version": self.table.version,
            "paths": ", ".join(sorted({origin for _, origin in held.values()})),
        }

    def versions(self) -> list[tuple[int, Any]]:
        """(version, time of its commit), oldest first."""
        return [(entry["version"], entry["timestamp"]) for entry in self.table.list_versions()]


def passages(name: str, rows: Sequence[dict[str, Any]]) -> list[Passage]:
    """Rows in order of rank as passages; neighbours in one source are joined."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["source"], row["number"])):
        last = next(reversed(groups.values()))[-1] if groups else None
        if last and (last["source"], last["number"] + 1) == (row["source"], row["number"]):
            next(reversed(groups.values())).append(row)
        else:
            groups[len(groups)] = [row]
    rank = {id(row): place for place, row in enumerate(rows)}
    ordered = sorted(groups.values(), key=lambda group: min(rank[id(row)] for row in group))
    return [_passage(number, name, group) for number, group in enumerate(ordered, 1)]


def _passage(number: int, name: str, group: Sequence[dict[str, Any]]) -> Passage:
    first, last = group[0], group[-1]
    text = first["text"]
    for before, row in pairwise(group):
        lines = row["first_line"] - before["last_line"]
        gap = row["start"] - before["start"] - len(before["text"])
        text += ("\n" * lines or " " * gap) + row["text"]
    return Passage(
        number=number,
        index=name,
        source=first["source"],
        heading=first["heading"],
        first_line=first["first_line"],
        last_line=last["last_line"],
        text=text,
        score=max(_score(row) for row in group),
    )


def _score(row: dict[str, Any]) -> float:
    """Higher is better: the fused rank, the words' score, or one less the cosine distance."""
    for key in ("_relevance_score", "_score"):
        if row.get(key) is not None:
            return float(row[key])
    return 1.0 - float(row.get("_distance", 1.0))


def search_all(
    names: Sequence[str],
    query: str,
    k: int = 5,
    where: str | None = None,
    version: int | None = None,
) -> list[Passage]:
    """Passages of several indexes in turn by rank, k at most, numbered as one list."""
    found = [Index.open(name, version=version).search(query, k, where) for name in names]
    in_turn = [passage for rank in zip_longest(*found) for passage in rank if passage][:k]
    return [replace(passage, number=number) for number, passage in enumerate(in_turn, 1)]
