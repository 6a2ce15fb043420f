"""Where each persona's memory lies: a LanceDB table, or the store that the user named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.copying import copied
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.item_stores import StoreItems, memory_facts
from gptoss_magic.retrieval.lance_items import LanceItems, folder, memory_columns
from gptoss_magic.retrieval.stores import named
from gptoss_magic.retrieval.stores.lance import LanceStore
from gptoss_magic.retrieval.stores.named import LANCEDB

if TYPE_CHECKING:
    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.item_table import ItemTable
    from gptoss_magic.retrieval.stores.contract import StoreFacts, VectorStore
    from gptoss_magic.retrieval.stores.named import StorePlace


def items_of(name: str, place: str, embedder: Embedder | None) -> ItemTable:
    """The table of the memory `name` at `place`."""
    where = named.placed(place)
    if where is None:
        return LanceItems(name, place, embedder)
    opened = named.opened(f"memory {name}", where)
    return StoreItems(name, opened, embedder or embedder_named(opened.facts.embedder))


def where_is(name: str) -> str:
    """`lancedb`, or the store as `--store` has it."""
    return str(named.placed(f"{folder()}/{name}") or LANCEDB)


def move(name: str, given: str) -> int:
    """Let a persona's memory lie in the store that is `given`; how many items it has now.

    What it has is copied with its vectors, and is then gone from where it was. Raises InputError
    where another memory is there already.
    """
    place = f"{folder()}/{name}"
    old = named.placed(place)
    new = None if given == LANCEDB else named.store_place(given, name)
    if new == old:
        return len(items_of(name, place, None).all())
    source = _held(name, place, old)
    facts = source.facts if source else memory_facts(*_default())
    target = _empty(name, place, new, facts)
    try:
        if source is not None:
            copied(source, target, lambda done, total, note: None)
        _lead(place, new)
    except BaseException:
        _drop(name, target, new)
        raise
    if source is not None:
        _drop(name, source, old)
    return target.count()


def close(name: str) -> bool:
    """Let another process have the store; whether it was open here."""
    where = named.placed(f"{folder()}/{name}")
    return where is not None and named.close(where)


def _default() -> tuple[str, int]:
    embedder = embedder_named()
    return embedder.name, embedder.dim


def _held(name: str, place: str, where: StorePlace | None) -> VectorStore | None:
    """What there is; None where nothing was ever remembered."""
    if where is not None:
        return named.opened(f"memory {name}", where)
    there = store.place(place)
    if there.table not in store.names(there.uri):
        return None
    with LanceItems(name, place).writing():
        return LanceStore(place)


def _empty(name: str, place: str, where: StorePlace | None, facts: StoreFacts) -> VectorStore:
    if where is None:
        return LanceStore(place, facts, memory_columns)
    target = named.opened(f"memory {name}", where, facts)
    if target.count() or target.facts != facts:
        named.close(where)
        raise InputError(f"memory {name}: {where} has one already; give another place")
    return target


def _lead(place: str, where: StorePlace | None) -> None:
    if where is None:
        named.forget(place)
    else:
        named.keep(place, where)


def _drop(name: str, held: VectorStore, where: StorePlace | None) -> None:
    if where is None:
        held.drop()
    else:
        named.delete(f"memory {name}", where)
