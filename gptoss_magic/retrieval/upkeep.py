"""What keeps a table fast: its indexes, made when its size asks for them, and merged files."""

from __future__ import annotations

from typing import Any

from gptoss_magic.retrieval.folding import words_column
from gptoss_magic.retrieval.held import HELD_ROWS
from gptoss_magic.retrieval.store import commit

INDEX_ROWS = HELD_ROWS  # below, all vectors are looked at: in memory, or read in milliseconds
MAX_FRAGMENTS = 20  # every commit adds one; each costs a query some 0.1 ms
MAX_TAIL_ROWS = 2_000  # rows no index knows yet are read one by one,
MAX_TAIL_SHARE = 0.05  # or this share of a large table


def tend(table: Any, name: str, *, always: bool = False) -> bool:
    """Make the indexes, merge files, take new rows into the indexes; True if anything was done.

    After small changes nothing is, unless `always`: rows that no index knows are found all the
    same, only more slowly. An index that knows less than half of the rows is made anew.
    """
    num_rows = table.count_rows()
    stale = _stale(table, num_rows)
    for column, config in stale:
        _make(table, name, column, config)
    if not (always or _is_due(table, num_rows)):
        return bool(stale)
    commit(name, table.optimize)
    return True


def begin(table: Any, name: str) -> None:
    """Make the full-text index where there is none: words are found from the first commit on."""
    from lancedb.index import FTS

    column = words_column(table)
    if (column,) not in _known(table):
        _make(table, name, column, FTS())


def _make(table: Any, name: str, column: str, config: Any) -> None:
    commit(name, lambda: table.create_index(column, config=config))


def _known(table: Any) -> dict[tuple[str, ...], int]:
    """Rows that the index of each column knows."""
    return {tuple(index.columns): index.num_indexed_rows or 0 for index in table.list_indices()}


def _stale(table: Any, num_rows: int) -> list[tuple[str, Any]]:
    """(column, index) of what a table of this size should have, and has not or not half."""
    from lancedb.index import FTS, BTree, IvfSq

    wanted: list[tuple[str, Any]] = [(words_column(table), FTS())]
    if num_rows > INDEX_ROWS:
        wanted += [("id", BTree()), ("source", BTree())]
        if "vector" in table.schema.names:
            wanted.append(("vector", IvfSq(distance_type="cosine")))
    known = _known(table)
    return [(column, made) for column, made in wanted if known.get((column,), 0) < num_rows / 2]


def _is_due(table: Any, num_rows: int) -> bool:
    """Whether there are many small files, or many rows that some index does not know."""
    if table.stats()["fragment_stats"]["num_small_fragments"] > MAX_FRAGMENTS:
        return True
    tail = max((num_rows - known for known in _known(table).values()), default=0)
    return tail > max(MAX_TAIL_ROWS, MAX_TAIL_SHARE * num_rows)
