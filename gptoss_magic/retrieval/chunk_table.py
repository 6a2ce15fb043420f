"""What an index needs of the table that its chunks lie in, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.retrieval.chunks import Chunk
from gptoss_magic.retrieval.loaders import Document

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.query import Query

DocumentChunk = tuple[Document, Chunk]
Batches = Callable[[], Iterator[list[DocumentChunk]]]


class ChunkTable(Protocol):
    """Chunks of files, replaced whole files at a time. Methods raise StorageError."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """'lancedb', 'faiss', 'chroma' or 'weaviate'."""
        ...

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        ...

    def about(self) -> tuple[str, int]:
        """(name, dimensions) of the embedder that filled it. Raises InputError for no table of
        ours.
        """
        ...

    def version(self) -> int:
        """A number that grows with every change; 0 where none is counted."""
        ...

    def versions(self) -> list[tuple[int, Any]]:
        """(version, time), oldest first. Raises InputError where none is kept."""
        ...

    def count(self) -> int:
        """How many chunks there are."""
        ...

    def known(self) -> dict[str, tuple[str, str]]:
        """Source to (digest, origin)."""
        ...

    def hits(self, query: Query, limit: int) -> list[dict[str, Any]]:
        """At most `limit` rows of `held.COLUMNS`, best first, each with its `score`. See
        `query.hits`.
        """
        ...

    def of_source(self, source: str) -> list[dict[str, Any]]:
        """All rows of a source, in order."""
        ...

    def all(self) -> list[dict[str, Any]]:
        """Every chunk: id, source, origin, heading, lines and text."""
        ...

    def writing(self, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Within, no other process writes; `on_wait()` before a wait."""
        ...

    def begin(self) -> None:
        """Before a first write: words are found from then on."""
        ...

    def write(
        self, batches: Batches, sources: Sequence[str], embedder: Embedder, *, is_new: bool
    ) -> int:
        """In one step: these chunks in, all others of `sources` out; how many. `is_new`: there are
        no others. `batches` may be asked again, for another try.
        """
        ...

    def delete(self, sources: Sequence[str]) -> None:
        """Every chunk of `sources` out."""
        ...

    def tend(self, *, always: bool = False) -> None:
        """After writes: keep it fast, where that is due, or `always`."""
        ...
