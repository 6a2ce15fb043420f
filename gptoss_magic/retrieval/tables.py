"""The table of an index by the index's name, wherever it lies."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.lance_chunks import LanceChunks
from gptoss_magic.retrieval.store_chunks import StoreChunks, index_facts
from gptoss_magic.retrieval.stores import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gptoss_magic.retrieval.chunk_table import ChunkTable
    from gptoss_magic.retrieval.store import MadeFor


def open_chunks(name: str, version: int | None = None) -> ChunkTable:
    """The table as it is, or read-only as it was. Raises InputError where there is none."""
    where = named.placed(name)
    if where is None:
        return LanceChunks(name, version)
    if version is not None:
        raise InputError(f"index {name}: {where} keeps no earlier versions")
    return StoreChunks(name, named.opened(name, where), where)


@contextmanager
def looked_at(name: str) -> Iterator[ChunkTable]:
    """The table for a moment: a store that was not open is let go of behind."""
    where = named.placed(name)
    was_open = where in named.OPEN
    try:
        yield open_chunks(name)
    finally:
        if where is not None and not was_open:
            named.close(where)


def is_there(name: str) -> bool:
    """Whether there is an index of that name."""
    where = store.place(name)
    return named.placed(name) is not None or where.table in store.names(where.uri)


def create_chunks(name: str, embedder: MadeFor, given: str = "") -> None:
    """Make the table, in LanceDB or the store that is `given`, as `--store` has it.

    A store that is there already is taken as it is. Raises InputError where the name leads
    elsewhere.
    """
    where = store.place(name)
    if not given:
        if not is_there(name):
            store.create_table(name, embedder)
        return
    named.check_name(name)
    wanted, placed = named.store_place(given, where.table), named.placed(name)
    if placed is None and where.table in store.names(where.uri):
        raise InputError(
            f"index {name}: there is one in LanceDB; %gptoss index copy {name} NEW --store {given}"
        )
    if placed not in (None, wanted):
        raise InputError(f"index {name}: there is one, at {placed}; --as gives it another name")
    held = named.opened(name, wanted, index_facts(embedder.name, embedder.dim))
    StoreChunks(name, held, wanted)  # or it holds something else
    named.keep(name, wanted)


def drop_chunks(name: str, on_wait: Callable[[], None] = lambda: None) -> None:
    """Delete the index. Raises InputError where there is none, and for a table of others."""
    where = named.placed(name)
    if where is None:
        store.drop_table(name, on_wait)
        return
    named.drop(name, where)


def close_chunks(name: str) -> bool:
    """Let another process have the index's store; whether it was open here."""
    where = named.placed(name)
    if where is None:
        raise InputError(f"index {name}: LanceDB holds nothing for one process; there is no need")
    return named.close(where)


def table_files(name: str) -> list[Path]:
    """The files of an index's LanceDB table; none where it lies elsewhere. Lance writes each once:
    what is listed here stays as it is.
    """
    where = store.place(name)
    if where.is_remote or named.placed(name) is not None:
        return []
    folder = Path(where.uri) / f"{where.table}.lance"
    return sorted(file for file in folder.rglob("*") if file.is_file())
