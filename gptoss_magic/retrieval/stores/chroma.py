"""Chroma: an approximate index (HNSW) in a folder, which one process opens at a time.

Chroma is given our vectors, told to compare by cosine, and never asked to embed a text: its own
embedder would fetch a model. Nobody is told of its use (its telemetry is off).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import MissingPackage, StorageError, error_line
from gptoss_magic.retrieval.stores.contract import INDEX
from gptoss_magic.retrieval.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gptoss_magic.retrieval.stores.contract import StoredRow, StoreFacts
    from gptoss_magic.retrieval.stores.sidecar import Sidecar

FOLDER, COLLECTION = "chroma", "gptoss_magic"
HNSW = {"space": "cosine", "ef_construction": 200, "max_neighbors": 32, "ef_search": 300}
BATCH = 1000
AT_LEAST = 50  # neighbours that are looked for: of few, HNSW misses some


class ChromaVectors:
    """A collection whose ids are the rows' keys; for an index with texts and sources, to be read
    by others. A memory's texts stand in the rows alone, where they can be forgotten.
    """

    def __init__(self, folder: Path, sidecar: Sidecar) -> None:
        chromadb = imported()
        self._name, self._has_texts = sidecar.name, sidecar.facts.holds == INDEX
        self._sidecar = sidecar
        quiet = chromadb.Settings(anonymized_telemetry=False)
        self._client = self._done(chromadb.PersistentClient, str(folder / FOLDER), quiet)
        self._held = self._done(
            self._client.get_or_create_collection,
            COLLECTION,
            configuration={"hnsw": HNSW},
            embedding_function=None,
        )

    def put(self, keys: Sequence[int], vectors: Any, rows: Sequence[StoredRow]) -> None:
        for begin in range(0, len(keys), BATCH):
            part = slice(begin, begin + BATCH)
            with_texts = self._texts(rows[part]) if self._has_texts else {}
            ids = [str(key) for key in keys[part]]
            self._done(self._held.upsert, ids=ids, embeddings=vectors[part], **with_texts)
        self._sidecar.settled(keys)

    @staticmethod
    def _texts(rows: Sequence[StoredRow]) -> dict[str, Any]:
        return {
            "documents": [str(row.fields["text"]) for row in rows],
            "metadatas": [{"id": row.id, "source": row.fields["source"]} for row in rows],
        }

    def take_out(self, keys: Sequence[int]) -> None:
        for begin in range(0, len(keys), BATCH):
            part = keys[begin : begin + BATCH]
            known = self._done(self._held.get, ids=[str(key) for key in part], include=[])["ids"]
            if known:
                self._done(self._held.delete, ids=known)
        if keys:
            self._sidecar.settled(keys)

    def nearest(self, vector: Any, k: int) -> list[tuple[int, float]]:
        num = min(max(k, AT_LEAST), self._done(self._held.count))
        if not num:
            return []
        found = self._done(
            self._held.query, query_embeddings=[vector], n_results=num, include=["distances"]
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(int(key), min(1.0, max(-1.0, 1.0 - far))) for key, far in pairs][:k]

    def save(self, sidecar: Sidecar) -> None:
        """Chroma writes each change at once; keys without a vector need not be told of again."""
        sidecar.settled()

    def close(self) -> None:
        self._client.close()

    def _done(self, action: Callable[..., Any], *args: Any, **how: Any) -> Any:
        """What `action` gives; what Chroma raises is one line."""
        try:
            return action(*args, **how)
        except Exception as error:
            raise StorageError(f"{self._name}: chroma: {error_line(error)}") from error


def chroma_store(folder: Path, name: str, facts: StoreFacts | None = None) -> LocalStore:
    """The store in `folder`; with `facts` it is made where it is not there. See `LocalStore`."""
    imported()
    return LocalStore(folder, name, ChromaVectors, facts)


def imported() -> Any:
    """The package. Raises MissingPackage."""
    try:
        import chromadb
    except ImportError as error:
        raise MissingPackage(
            "stores of chroma need chromadb: pip install gptoss_magic[chroma]"
        ) from error
    return chromadb
