"""`Index`: one table of chunks, kept up to date and searched by words and by meaning."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable
from gptoss_magic.records import Passage
from gptoss_magic.retrieval.chunks import chunk_id
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.folding import folded
from gptoss_magic.retrieval.ingest import Ingest, Ingested, origins
from gptoss_magic.retrieval.query import NUM_CANDIDATES, Query
from gptoss_magic.retrieval.rerank import reranked
from gptoss_magic.retrieval.retriever import in_turn
from gptoss_magic.retrieval.tables import create_chunks, is_there, open_chunks
from gptoss_magic.retrieval.walk import MAX_BYTES, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gptoss_magic.retrieval.chunk_table import ChunkTable
    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.loaders import Document
    from gptoss_magic.retrieval.rerank import Reranker


class Index:
    """An index by name, path or object store URI (see `store.place`).

    A table keeps the name and dimension of the embedder that filled it: another one is refused.
    """

    def __init__(self, name: str, table: ChunkTable, embedder: Embedder) -> None:
        self.name, self.chunks, self.embedder = name, table, embedder

    @classmethod
    def open(cls, name: str, embedder: Embedder | None = None, version: int | None = None) -> Index:
        """An index that is there; `version` for an earlier state, read-only. Raises InputError."""
        table = open_chunks(name, version)
        made, dim = table.about()
        given = embedder or embedder_named(made)
        if (given.name, given.dim) != (made, dim):
            raise InputError(
                f"index {name}: made with {made} ({dim} dimensions), not "
                f"{given.name} ({given.dim}); %gptoss index drop {name}, then index its paths again"
            )
        return cls(name, table, given)

    @classmethod
    def create(cls, name: str, embedder: Embedder | None = None, store: str = "") -> Index:
        """The index, made where it is not there yet: in LanceDB, or in a `store` of another kind,
        `faiss:PATH`, `chroma:PATH` or `weaviate:URL`. Raises InputError, MissingPackage.
        """
        if store or not is_there(name):
            create_chunks(name, embedder or embedder_named(), store)
        return cls.open(name, embedder)

    def ingest(
        self,
        paths: Sequence[str],
        frames: Iterable[Document] = (),
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
        on_wait: Callable[[], None] = lambda: None,
        *,
        max_bytes: int = MAX_BYTES,
        num_workers: int = 1,
    ) -> Ingested:
        """Index files, folders and patterns, and documents of DataFrames.

        Only changed files are read into the table again; what is gone from disk goes from it.
        An interrupt keeps what is done. `progress` is told bytes done, bytes in total and a file's
        name; `on_wait` is called once where another process writes the index. A file larger than
        `max_bytes` is left out, and named, unless the index has it already. With `num_workers`
        files are read by so many processes (see `workers`).
        Raises InputError for a path that is not there, before anything is done.
        """
        for path in paths:
            check(path)
        make = self._maker(max_bytes, num_workers)
        return self._ingest(make, paths, frames, progress, on_wait)

    def refresh(
        self,
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
        on_wait: Callable[[], None] = lambda: None,
        frames: Iterable[Document] = (),
        *,
        num_workers: int = 1,
    ) -> Ingested:
        """Index again what is in the index; DataFrames stay as they are. See `ingest`."""
        make = self._maker(MAX_BYTES, num_workers)
        return self._ingest(make, origins(self.known(), self.name), frames, progress, on_wait)

    def _maker(self, max_bytes: int, num_workers: int) -> Callable[[], Ingest]:
        """What makes a pass, once no other process writes. Raises InputError."""
        from gptoss_magic.retrieval.workers import SharedIngest, check_workers

        check_workers(num_workers, self.chunks, self.embedder)
        if num_workers == 1:
            return lambda: Ingest(self.chunks, self.embedder, max_bytes)
        return lambda: SharedIngest(self.chunks, self.embedder, max_bytes, num_workers)

    def _ingest(
        self,
        make: Callable[[], Ingest],
        paths: Sequence[str],
        frames: Iterable[Document],
        progress: Callable[[int, int, str], None],
        on_wait: Callable[[], None],
    ) -> Ingested:
        with self.chunks.writing(on_wait):
            self.chunks.begin()
            report = make().run(paths, frames, progress)
            try:
                if report.finish == "return":
                    self.chunks.tend()
            except KeyboardInterrupt:
                report.finish = "interrupt"
        return report

    def optimize(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Merge small files and bring the indexes up to date. Versions are kept for a week."""
        with self.chunks.writing(on_wait):
            self.chunks.tend(always=True)

    def search(
        self,
        query: str,
        k: int = 5,
        where: str | None = None,
        *,
        by: str = "both",
        reranker: Reranker | None = None,
    ) -> list[Passage]:
        """Passages for `query`, best first, from the k best chunks; neighbours become one passage.

        `by` 'words', 'vectors', or 'both', fused by reciprocal rank. `where`: the user's own SQL
        condition. `reranker` orders the best 50 chunks anew. Raises InputError.
        """
        query = encodable(query)
        if not query.strip():
            raise InputError("search: the query is empty; write a question or words")
        if k < 1:
            raise InputError(f"search: {k} passages; give 1 or more")
        limit = max(k, NUM_CANDIDATES) if reranker else k
        rows = self.chunks.hits(self._asked(query, where, by), limit)
        rows = reranked(reranker, query, rows) if reranker else rows
        return passages(self.name, rows[:k])

    def ranked(self, query: str, k: int, *, by: str = "both") -> list[str]:
        """Ids of the k best chunks, best first."""
        rows = self.chunks.hits(self._asked(query, None, by), k)
        return [chunk_id(row["source"], row["number"]) for row in rows[:k]]

    def _asked(self, text: str, where: str | None, by: str) -> Query:
        if by not in ("both", "words", "vectors"):
            raise InputError(f"search by {by!r}: give 'both', 'words' or 'vectors'")
        if by == "vectors" and not self.embedder.dim:
            raise InputError(f"index {self.name} has no vectors; give by='words'")
        has_vector = self.embedder.dim and by != "words"
        vector = self.embedder.embed([folded(text)])[0] if has_vector else None
        return Query("" if by == "vectors" else text, vector, where)

    def info(self) -> dict[str, str | int]:
        """What the index holds, as plain values."""
        return table_info(self.chunks)

    def known(self) -> dict[str, tuple[str, str]]:
        """Source to (digest, origin) of what it holds."""
        return self.chunks.known()

    def version(self) -> int:
        """Of its table: a number that grows with every change; 0 where none is counted."""
        return self.chunks.version()

    def versions(self) -> list[tuple[int, Any]]:
        """(version, time of its commit), oldest first. Raises InputError where none are kept."""
        return self.chunks.versions()

    def whole(self, source: str) -> Passage | None:
        """All that it holds of a source, as one passage; None where it holds nothing."""
        rows = [{**row, "score": 0.0} for row in self.chunks.of_source(source)]
        return _passage(1, self.name, rows) if rows else None


def table_origins(name: str) -> set[str]:
    """What an index was made from: paths, patterns, names of DataFrames."""
    return {origin for _, origin in open_chunks(name).known().values()}


def table_info(table: ChunkTable) -> dict[str, str | int]:
    """What an index's table holds, as plain values. Raises InputError for a foreign table."""
    embedder, dim = table.about()
    held = table.known()
    return {
        "index": table.name,
        "store": table.kind,
        "folder": table.place,
        "files": len(held),
        "chunks": table.count(),
        "embedder": embedder,
        "dimensions": dim,
        "version": table.version(),
        "paths": ", ".join(sorted({origin for _, origin in held.values()})),
    }


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
        score=max(row["score"] for row in group),
    )


def search_all(
    names: Sequence[str],
    query: str,
    k: int = 5,
    where: str | None = None,
    version: int | None = None,
    *,
    reranker: Reranker | None = None,
) -> list[Passage]:
    """Passages of several indexes in turn by rank, k at most, numbered as one list."""
    opened = [Index.open(name, version=version) for name in names]
    return in_turn([index.search(query, k, where, reranker=reranker) for index in opened], k)
