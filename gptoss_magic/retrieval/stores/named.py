"""Stores that the user named: which kind, where, and what each is called on this machine.

`--store faiss:PATH` leaves a note beside the user's indexes (or memories), so that the name alone
leads there afterwards. Only such notes lead to a store: no name of a persona, a notebook or a
document does.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.store import NOTE, Place, home, place

if TYPE_CHECKING:
    from gptoss_magic.retrieval.stores.contract import StoreFacts, VectorStore

LANCEDB = "lancedb"  # the kind of what no note leads to
OPEN: dict[StorePlace, VectorStore] = {}
TURN = RLock()


@dataclass(frozen=True)
class StorePlace:
    """The store `table` of a kind, at `where`: a folder, absolute, or a server's address."""

    kind: str
    where: str
    table: str

    @property
    def folder(self) -> Path:
        """Of a store that lies in one."""
        return Path(self.where) / self.table

    @property
    def is_remote(self) -> bool:
        return self.kind == "weaviate"

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}"


def _faiss(where: StorePlace, name: str, facts: StoreFacts | None) -> VectorStore:
    from gptoss_magic.retrieval.stores.faiss import faiss_store

    return faiss_store(where.folder, name, facts)


def _chroma(where: StorePlace, name: str, facts: StoreFacts | None) -> VectorStore:
    from gptoss_magic.retrieval.stores.chroma import chroma_store

    return chroma_store(where.folder, name, facts)


def _weaviate(where: StorePlace, name: str, facts: StoreFacts | None) -> VectorStore:
    from gptoss_magic.retrieval.stores.weaviate import WeaviateStore

    return WeaviateStore(where.where, where.table, name, facts)


KINDS: dict[str, Callable[[StorePlace, str, StoreFacts | None], VectorStore]] = {
    "faiss": _faiss,
    "chroma": _chroma,
    "weaviate": _weaviate,
}


def store_place(given: str, table: str) -> StorePlace:
    """`faiss:PATH`, `chroma:PATH` or `weaviate:URL`. Raises InputError for anything else."""
    kind, _, where = given.partition(":")
    if kind not in KINDS or not where:
        raise InputError(
            f"--store {printable(given)}: give faiss:PATH, chroma:PATH or weaviate:URL; without "
            "--store, LanceDB keeps it"
        )
    if kind != "weaviate":
        where = str(Path(where).expanduser().resolve())
    return StorePlace(kind, where, table)


def placed(name: str) -> StorePlace | None:
    """Where the user's note of that name leads; None where there is none.

    Raises InputError for a damaged note.
    """
    where = place(name)
    note = _note(where)
    if note is None or not note.is_file():
        return None
    try:
        told = json.loads(note.read_text("utf-8"))["store"]
        return store_place(told, where.table)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{where.table}: {printable(note)} does not say where the store is; delete that file, "
            "and give --store again"
        ) from error


def check_name(name: str) -> Path:
    """The note's file of a name that may lead to a store. Raises InputError for a path."""
    note = _note(place(name))
    if note is None:
        raise InputError(f"{name}: with --store, give a name without a folder, such as docs")
    return note


def keep(name: str, where: StorePlace) -> None:
    """Let the name lead there from now on."""
    with whole_file(check_name(name)) as file:
        file.write_text(json.dumps({"store": str(where)}), "utf-8")


def forget(name: str) -> None:
    """The name leads nowhere from now on; the store stays."""
    note = _note(place(name))
    if note is not None:
        note.unlink(missing_ok=True)


def _note(where: Place) -> Path | None:
    """The file of the note; None for a place where none is looked for."""
    folder, ours = Path(where.uri), (home(), home().parent / "memory")
    is_ours = folder.resolve() in [one.resolve() for one in ours]
    return folder / f"{where.table}{NOTE}" if is_ours else None


def opened(name: str, where: StorePlace, facts: StoreFacts | None = None) -> VectorStore:
    """The store, opened once in this process; with `facts` it is made where it is not there.

    Raises InputError where there is none, MissingPackage, and StorageError where another process
    holds it.
    """
    with TURN:
        if where not in OPEN:
            _close_at_the_end()
            OPEN[where] = KINDS[where.kind](where, name, facts)
        return OPEN[where]


def close(where: StorePlace) -> bool:
    """Let another process have it; whether it was open here."""
    with TURN:
        store = OPEN.pop(where, None)
        if store is not None:
            store.close()
    return store is not None


def delete(name: str, where: StorePlace) -> None:
    """Delete the store; a note that leads there stays."""
    with TURN:
        opened(name, where).drop()
        OPEN.pop(where, None)


def drop(name: str, where: StorePlace) -> None:
    """Delete the store, and the note that leads there."""
    delete(name, where)
    forget(name)


@cache
def _close_at_the_end() -> None:
    atexit.register(close_all)


def close_all() -> None:
    """Let go of every store that is open here."""
    for where in list(OPEN):
        try:
            close(where)
        except GptOssError as error:
            print(error)
