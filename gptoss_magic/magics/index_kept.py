"""What `%gptoss index` does with an index that is there: drop, close, copy, optimize."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def waiting(name: str) -> Callable[[], None]:
    """What is said before a wait."""
    return lambda: print(f"index {name}: another process writes it; waiting")


def drop(name: str) -> None:
    from gptoss_magic.retrieval.tables import drop_chunks

    drop_chunks(name, waiting(name))
    print(f"index {name}: dropped")


def close(name: str) -> None:
    """Let another process have the store that the index lies in."""
    from gptoss_magic.retrieval.tables import close_chunks

    was_open = close_chunks(name)
    print(f"index {name}: {'closed' if was_open else 'not open here'}")


def copy(names: Sequence[str], given: str) -> None:
    """All chunks of one index, with their vectors, as another one, which is not there yet."""
    from gptoss_magic.retrieval.copying import copy_index
    from gptoss_magic.widgets.progress import ProgressView

    if len(names) != 2:
        raise InputError("%gptoss index copy: give an index's name, and the new one's")
    old, new = names
    with ProgressView(f"index {new}") as bar:
        num = copy_index(old, new, given, bar.update)
        bar.finish(f"index {new}: {counted(num, 'chunk')} of {old}")


def optimize(name: str) -> None:
    from gptoss_magic.retrieval.index import Index

    Index.open(name).optimize(waiting(name))
    print(f"index {name}: optimized")
