"""One query of a table: by words and by vectors at the same time, fused by rank."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.folding import folded, words_column
from gptoss_magic.retrieval.held import COLUMNS
from gptoss_magic.retrieval.store import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.retrieval.held import Held

NUM_CANDIDATES = 50
RANK_OFFSET = 10
WORDS_WEIGHT = 2.0
NUM_PROBES = 20
REFINE = 4
Key = TypeVar("Key")
WHERE = "source, kind, heading, text, first_line, last_line"


@dataclass(frozen=True)
class Query:
    """What is asked of a table: words, the words' vector, or both; of rows that fit `where`.

    `vector`: float32 [dim]. `words` of "" and a vector of None or zeros ask nothing.
    """

    words: str
    vector: Any = None
    where: str | None = None

    @property
    def has_vector(self) -> bool:
        return self.vector is not None and bool(self.vector.any())


def hits(table: Any, name: str, query: Query, limit: int, held: Held) -> list[dict[str, Any]]:
    """At most `limit` rows, best first, each with its `score` (higher is better).

    The score is 2 / (10 + rank) by words and 1 / (10 + rank) by vector, summed (reciprocal rank
    fusion, Cormack, Clarke and Buettcher 2009, there 1 / (60 + rank) for each); by words alone it
    is BM25's, by vector alone the cosine.
    Raises InputError for a `where` that is no condition, StorageError.
    """
    each = max(limit, NUM_CANDIDATES)
    with _errors(name, query.where):
        if not query.has_vector:
            rows = _by_words(table, query, limit).to_pylist() if query.words else []
            return [{**row, "score": row["_score"]} for row in rows]
        if not query.words:
            rows = _by_vector(table, query, limit, held).to_pylist()
            return [{**row, "score": 1.0 - row["_distance"]} for row in rows]
        words = _pool().submit(_by_words, table, query, each)
        near = _by_vector(table, query, each, held)
        return fused([(1.0, near), (WORDS_WEIGHT, words.result())], limit)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="gptoss-words")


def _by_words(table: Any, query: Query, limit: int) -> Any:
    """An Arrow table of the best by BM25."""
    column = words_column(table)
    found = table.search(folded(query.words), query_type="fts", fts_columns=column)
    return _narrowed(found.select([*COLUMNS, "_score"]).limit(limit), query.where).to_arrow()


def _by_vector(table: Any, query: Query, limit: int, held: Held) -> Any:
    """An Arrow table of the nearest by cosine; a narrow filter opens all partitions."""
    if not query.where and (rows := held.nearest(table, query.vector, limit)) is not None:
        return rows
    near = table.search(query.vector, vector_column_name="vector").distance_type("cosine")
    near = near.minimum_nprobes(NUM_PROBES).maximum_nprobes(0).refine_factor(REFINE)
    return _narrowed(near.select([*COLUMNS, "_distance"]).limit(limit), query.where).to_arrow()


def _narrowed(query: Any, where: str | None) -> Any:
    return query.where(where, prefilter=True) if where else query


@contextmanager
def _errors(name: str, where: str | None) -> Iterator[None]:
    """LanceDB's errors as ours; with a `where` they are taken for the condition's."""
    if not where:
        with storage_errors(name):
            yield
        return
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        reason = re.sub(r"\s+", " ", str(error))[:200]
        raise InputError(f"where {where!r}: {reason}; the columns are {WHERE}") from error


def fused(found: Sequence[tuple[float, Any]], limit: int) -> list[dict[str, Any]]:
    """Rows of Arrow tables by the sum of their weight / (10 + rank), `limit` at most."""
    keyed: list[tuple[float, list[tuple[str, int]]]] = []
    rows: dict[tuple[str, int], tuple[Any, int]] = {}
    for weight, table in found:
        pairs = zip(table["source"].to_pylist(), table["number"].to_pylist(), strict=True)
        keys = list(pairs)
        keyed.append((weight, keys))
        for place, key in enumerate(keys):
            rows.setdefault(key, (table, place))
    best = fused_ranks(keyed, limit)
    return [{**_row(*rows[key]), "score": score} for key, score in best.items()]


def fused_ranks(found: Sequence[tuple[float, Sequence[Key]]], limit: int) -> dict[Key, float]:
    """Keys by the sum of their weight / (10 + rank) in each of several orders, best first."""
    scores: dict[Key, float] = {}
    for weight, keys in found:
        for place, key in enumerate(keys):
            scores[key] = scores.get(key, 0.0) + weight / (RANK_OFFSET + place + 1)
    best = sorted(scores, key=lambda key: -scores[key])[:limit]
    return {key: scores[key] for key in best}


def _row(table: Any, place: int) -> dict[str, Any]:
    return {column: table[column][place].as_py() for column in COLUMNS}
