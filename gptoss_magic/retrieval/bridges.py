"""What LangChain, LlamaIndex and Haystack are given of an index, the same for all three."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from gptoss_magic.retrieval.index import Index

if TYPE_CHECKING:
    from gptoss_magic.records import Passage


class Bridge:
    """An index by name, opened at the first search, with the settings of every search.

    `k` chunks at most, neighbours joined; `where` an SQL condition; `version` an earlier state.
    """

    def __init__(self, index: str, k: int, where: str | None, version: int | None) -> None:
        self.index, self.k, self.where, self.version = index, k, where, version

    @cached_property
    def opened(self) -> Index:
        """The index. Raises InputError where there is none."""
        return Index.open(self.index, version=self.version)

    def search(self, query: str) -> list[Passage]:
        """Passages, best first. Raises InputError."""
        return self.opened.search(query, self.k, self.where)


def place_of(passage: Passage) -> str:
    """A passage's name in a framework: its source and lines."""
    return f"{passage.source}#L{passage.first_line}-L{passage.last_line}"


def metadata_of(passage: Passage) -> dict[str, Any]:
    """What a framework's document says beside its text; `neighbours` reads it back."""
    names = ("index", "source", "heading", "first_line", "last_line")
    return {name: getattr(passage, name) for name in names}
