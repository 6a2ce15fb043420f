"""An index or a memory from one store into another, with its vectors: nothing is embedded anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.stores import named
from gptoss_magic.retrieval.stores.contract import INDEX
from gptoss_magic.retrieval.stores.lance import LanceStore
from gptoss_magic.retrieval.tables import is_there

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.retrieval.stores.contract import StoreFacts, VectorStore
    from gptoss_magic.retrieval.stores.named import StorePlace


def store_of(name: str) -> VectorStore:
    """What an index lies in, by the contract. Raises InputError where there is none."""
    where = named.placed(name)
    return LanceStore(name) if where is None else named.opened(name, where)


def copy_index(
    old: str,
    new: str,
    given: str = "",
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> int:
    """Every chunk of `old` as the index `new`, in the store that is `given`, else in LanceDB.

    How many. An interrupt or an error leaves no `new`. Raises InputError where `new` is there.
    """
    if is_there(new):
        raise InputError(
            f"index {new}: there is one; give another name, or %gptoss index drop {new}"
        )
    source = store_of(old)
    if source.facts.holds != INDEX:
        raise InputError(f"{old}: a memory, not an index")
    where = named.store_place(given, new) if given and named.check_name(new) else None
    target = _empty(new, where, source.facts)
    try:
        copied(source, target, progress)
        if where is not None:
            named.keep(new, where)
    except BaseException:
        if where is None:
            target.drop()
        else:
            named.drop(new, where)
        raise
    return target.count()


def _empty(new: str, where: StorePlace | None, facts: StoreFacts) -> VectorStore:
    """A new store. Raises InputError where there is something at that place."""
    target = LanceStore(new, facts) if where is None else named.opened(new, where, facts)
    if where is not None and (target.count() or target.facts != facts):
        named.close(where)
        raise InputError(
            f"{where} has {new} already; %gptoss index --store {where} --as {new} takes it as it is"
        )
    return target


def copied(
    source: VectorStore, target: VectorStore, progress: Callable[[int, int, str], None]
) -> None:
    """Every row of one store put into another. Raises InputError where one is lost on the way."""
    total, done = source.count(), 0
    for rows in source.walk():
        target.upsert(rows)
        done += len(rows)
        progress(done, total, target.name)
    target.flush()
    if done != target.count():
        raise InputError(f"{target.name}: {source.name} was written meanwhile; copy it again")
