"""Files into the table: changed ones again, removed ones out, whole files in each commit."""

from __future__ import annotations

import glob
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import GptOssError, InputError, error_line
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.chunks import chunks
from gptoss_magic.retrieval.loaders import Document, digest, read, storable
from gptoss_magic.retrieval.walk import MAX_BYTES, Found, Skipped, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gptoss_magic.retrieval.chunk_table import ChunkTable, DocumentChunk
    from gptoss_magic.retrieval.embedders import Embedder

BATCH_CHARS = 400_000
COMMIT_S = 1.0  # what a kill may cost; a commit takes more than a batch where that is quick
MOST_BATCHES = 10  # in one commit, all of them in memory as text
OF_MEMORY = ("frame:", "notebook:")


@dataclass
class Ingested:
    """What an ingest did, in files and chunks; `finish` is 'return' or 'interrupt'.

    `notes`: what of a source that is in the index could not be read, by source.
    """

    files: int = 0
    changed: int = 0
    chunks: int = 0
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    finish: str = "return"


class Ingest:
    """One pass over some paths. What was committed stays, whatever ends the pass."""

    def __init__(self, table: ChunkTable, embedder: Embedder, max_bytes: int = MAX_BYTES) -> None:
        self.table, self.embedder, self.max_bytes = table, embedder, max_bytes
        self.report = Ingested()
        self._known = table.known()
        self._held: dict[str, Document] = {}
        self._num_held_chars = 0
        self._commit_chars = BATCH_CHARS

    def run(
        self,
        paths: Sequence[str],
        frames: Iterable[Document] = (),
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    ) -> Ingested:
        """Index files below `paths`, and `frames`. `progress` is told bytes done and in total."""
        found = self._found(paths)
        try:
            for document in frames:
                self._take(document)
            self.files(found, progress)
            self._remove(paths, {str(file.path) for file in found})
        except KeyboardInterrupt:
            self.report.finish = "interrupt"
        return self.report

    def files(self, found: Sequence[Found], progress: Callable[[int, int, str], None]) -> None:
        """Read them and commit what is new; an interrupt keeps what is committed."""
        total, done = sum(file.num_bytes for file in found), 0
        for file in found:
            self._file(file)
            done += file.num_bytes
            progress(done, total, printable(file.path.name))
        self._flush()

    def _found(self, paths: Sequence[str]) -> list[Found]:
        files: dict[Path, Found] = {}
        for path in paths:
            for item in walk(path, self.max_bytes):
                taken = item if isinstance(item, Found) else item.found
                if taken and (taken is item or str(taken.path) in self._known):
                    files.setdefault(taken.path, taken)
                elif isinstance(item, Skipped):
                    self.report.skipped.append(item)
        return list(files.values())

    def _file(self, file: Found) -> None:
        """Read a file and take it, where it is not known as it is.

        Whatever its reader raises concerns this file alone: it is named, and the rest goes on.
        """
        try:
            data = file.path.read_bytes()
            if self._known.get(str(file.path), ("", ""))[0] == digest(data):
                self.report.files += 1
                return
            document = read(file.path, file.origin, data)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 (what the readers' libraries raise is open)
            self.report.skipped.append(Skipped(str(file.path), reason(error)))
            return
        self._take(document)

    def _take(self, document: Document) -> None:
        document = storable(document)
        if not document.text.strip():
            self.report.skipped.append(Skipped(document.source, document.note or "no text in it"))
            return
        self.report.files += 1
        if self._known.get(document.source, ("", ""))[0] == document.digest:
            return
        if document.note:
            self.report.notes[document.source] = document.note
        self._held[document.source] = document
        self._num_held_chars += len(document.text)
        if self._num_held_chars >= self._commit_chars:
            self._flush()

    def _flush(self) -> None:
        """Replace the held documents' chunks by the new ones, in one commit."""
        if not self._held:
            return
        begin, sources = time.perf_counter(), list(self._held)
        is_new = not any(map(self._known.get, sources))
        self.report.chunks += self.table.write(self._batches, sources, self.embedder, is_new=is_new)
        self.report.changed += len(self._held)
        self._known |= {held.source: (held.digest, held.origin) for held in self._held.values()}
        self._commit_chars = next_commit(self._num_held_chars, time.perf_counter() - begin)
        self._held.clear()
        self._num_held_chars = 0

    def _batches(self) -> Iterator[list[DocumentChunk]]:
        """The held documents' chunks, some 400,000 characters of them at a time."""
        rows: list[DocumentChunk] = []
        num_chars = 0
        for document in self._held.values():
            for chunk in chunks(document):
                rows.append((document, chunk))
                num_chars += len(chunk.text)
                if num_chars >= BATCH_CHARS:
                    yield rows
                    rows, num_chars = [], 0
        if rows:
            yield rows

    def _remove(self, paths: Sequence[str], seen: set[str]) -> None:
        """Drop what these paths once led to and do not any more: deleted, or unreadable now."""
        seen -= {skipped.path for skipped in self.report.skipped}
        origins = {str(Path(path).expanduser().resolve()) for path in paths}
        folders = [Path(origin) for origin in origins if Path(origin).is_dir()]
        for source, (_, origin) in self._known.items():
            lost = not Path(source).exists() and any(
                Path(source).is_relative_to(folder) for folder in folders
            )
            if source not in seen and (origin in origins or lost):
                self.report.removed.append(source)
        self.table.delete(self.report.removed)


def reason(error: Exception) -> str:
    """Why a file could not be read, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return error_line(error) if isinstance(error, GptOssError) else f"damaged: {error_line(error)}"


def origins(held: dict[str, tuple[str, str]], name: str) -> list[str]:
    """What a refresh reads again, of what an index has (see `ChunkTable.known`).

    Raises InputError where a folder is missing: nothing is lost.
    """
    found = sorted({origin for _, origin in held.values() if not origin.startswith(OF_MEMORY)})
    for origin in found:
        if not (Path(origin).exists() or glob.has_magic(origin) or origin in held):
            raise InputError(
                f"index {name}: {origin} is not there; put it back, or drop the index: "
                f"%gptoss index drop {name}"
            )
    return found


def next_commit(num_chars: int, seconds: float) -> int:
    """Characters in the next commit, after one of `num_chars` took so long."""
    fit = int(COMMIT_S * num_chars / seconds)
    return min(max(BATCH_CHARS, fit), MOST_BATCHES * BATCH_CHARS)
