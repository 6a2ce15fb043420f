"""Faiss: all vectors in memory, compared exactly; the file is a picture of them, checked by shape.

Rows and vectors stand in the SQLite file, so that a file that is missing, damaged or of another
moment is made anew from them, and never trusted.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import storing
from gptoss_magic.errors import MissingPackage
from gptoss_magic.quoting import one_line
from gptoss_magic.retrieval.stores.contract import units
from gptoss_magic.retrieval.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gptoss_magic.retrieval.stores.contract import StoredRow, StoreFacts
    from gptoss_magic.retrieval.stores.sidecar import Sidecar

PICTURE = "faiss"  # what the rows tell of the file
# faiss/impl/index_write.cpp: a four-letter name, d, ntotal, two numbers of no meaning, is_trained,
# metric_type (0: inner product); the flat index has its vectors behind, the map its keys
HEAD = struct.Struct("<4siqqqBi")
SIZE = struct.Struct("<Q")
MAP, FLAT = b"IxM2", b"IxFI"


class FaissVectors:
    """`IndexIDMap2` of `IndexFlatIP` (exact), over vectors of length one."""

    def __init__(self, folder: Path, sidecar: Sidecar) -> None:
        self._folder, self._dim = folder, sidecar.facts.dim
        self._is_saved = True
        self._faiss = imported()
        told = told_of(sidecar.about(PICTURE))
        self._index: Any = self._read(told) if told else None
        if self._index is None:
            self._index = self._made(sidecar)

    def _read(self, told: tuple[str, int, str]) -> Any:
        """The file's index, where it is the one that was told of, and of our shape; else None."""
        file, num, digest = self._folder / told[0], told[1], told[2]
        if not file.is_file() or digest_of(file) != digest or not is_ours(file, self._dim, num):
            return None
        try:
            return self._faiss.read_index(str(file))
        except RuntimeError:
            return None

    def _made(self, sidecar: Sidecar) -> Any:
        """From the rows; they need not be told of again."""
        index = self._faiss.IndexIDMap2(self._faiss.IndexFlatIP(self._dim))
        keys, vectors = sidecar.vectors()
        said = vectors.any(axis=1)
        if said.any():
            index.add_with_ids(units(vectors[said]), _ids(keys)[said])
        self._is_saved = False
        return index

    def put(self, keys: Sequence[int], vectors: Any, rows: Sequence[StoredRow]) -> None:
        import numpy as np

        self.take_out(keys)
        self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), _ids(keys))
        self._is_saved = False

    def take_out(self, keys: Sequence[int]) -> None:
        if len(keys) and self._index.ntotal and self._index.remove_ids(_ids(keys)):
            self._is_saved = False

    def nearest(self, vector: Any, k: int) -> list[tuple[int, float]]:
        near, keys = self._index.search(vector[None], min(k, max(1, self._index.ntotal)))
        found = zip(keys[0].tolist(), near[0].tolist(), strict=True)
        return [(key, min(1.0, max(-1.0, score))) for key, score in found if key >= 0]

    def save(self, sidecar: Sidecar) -> None:
        """A new file; then, in one step, the rows tell of it; then the old one goes."""
        if self._is_saved:
            sidecar.settled()
            return
        new = self._folder / f"vectors-{sidecar.version()}.faiss"
        with storing(new):
            part = new.with_suffix(".part")
            try:
                self._faiss.write_index(self._index, str(part))
            except RuntimeError as error:  # of Faiss, for what the disk refuses
                raise OSError(one_line(str(error), 200)) from error
            part.replace(new)
            told = [new.name, int(self._index.ntotal), digest_of(new)]
            sidecar.settled(told=[(PICTURE, json.dumps(told))])
            for file in self._folder.glob("vectors-*"):
                if file != new:
                    file.unlink(missing_ok=True)
        self._is_saved = True

    def close(self) -> None:
        self._index = None


def faiss_store(folder: Path, name: str, facts: StoreFacts | None = None) -> LocalStore:
    """The store in `folder`; with `facts` it is made where it is not there. See `LocalStore`."""
    imported()
    return LocalStore(folder, name, FaissVectors, facts)


def imported() -> Any:
    """The package. Raises MissingPackage."""
    try:
        import faiss
    except ImportError as error:
        raise MissingPackage(
            "stores of faiss need faiss-cpu: pip install gptoss_magic[faiss]"
        ) from error
    return faiss


def told_of(text: str | None) -> tuple[str, int, str] | None:
    """(the file's name, its vectors, its sha256), as `save` tells; None for anything else."""
    try:
        name, num, digest = json.loads(text or "null")
    except (ValueError, TypeError):
        return None
    is_good = isinstance(name, str) and isinstance(num, int) and isinstance(digest, str)
    return (name, num, digest) if is_good and "/" not in name and "\\" not in name else None


def is_ours(file: Path, dim: int, num: int) -> bool:
    """Whether a file has the shape that `save` writes: these two indexes, and no byte more."""
    size = 2 * HEAD.size + 2 * SIZE.size + num * (4 * dim + 8)
    if num < 0 or file.stat().st_size != size:
        return False
    with file.open("rb") as stream:
        heads = [HEAD.unpack(stream.read(HEAD.size)) for _ in range(2)]
        (num_floats,) = SIZE.unpack(stream.read(SIZE.size))
        stream.seek(4 * dim * num, 1)
        (num_keys,) = SIZE.unpack(stream.read(SIZE.size))
    shapes = [(kind, d, n, metric) for kind, d, n, _, _, _, metric in heads]
    want = [(MAP, dim, num, 0), (FLAT, dim, num, 0)]
    return shapes == want and (num_floats, num_keys) == (dim * num, num)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _ids(keys: Sequence[int]) -> Any:
    import numpy as np

    return np.asarray(keys, np.int64)
