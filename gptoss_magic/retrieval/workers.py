"""An ingest by several processes: each reads, embeds and commits its share of the files.

They meet at LanceDB's commits, as writers on several machines do. The process that asked them holds
the index's lock, and takes out what is gone from disk when they are through.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from gptoss_magic.children import environment
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.retrieval.ingest import Ingest, Ingested
from gptoss_magic.retrieval.stores.named import LANCEDB
from gptoss_magic.retrieval.walk import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.retrieval.chunk_table import ChunkTable
    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.walk import Found

MODULE = "gptoss_magic.retrieval.worker"
MOST = 64
END_S = 20.0


def check_workers(count: int, table: ChunkTable, embedder: Embedder) -> None:
    """Raise InputError where an index cannot be written by so many processes."""
    from gptoss_magic.retrieval.embedders import is_of_here

    if not 1 <= count <= MOST:
        raise InputError(f"--workers {count}: give 1 to {MOST} processes")
    if count > 1 and table.kind != LANCEDB:
        raise InputError(
            f"--workers {count}: {table.kind} has one writer, several can write LanceDB "
            "alone; leave --workers out"
        )
    if count > 1 and is_of_here(embedder):
        raise InputError(
            f"--workers {count}: the embedder {embedder.name} lives in this process alone; "
            "leave --workers out"
        )


class SharedIngest(Ingest):
    """An ingest whose files are read by `num_workers` processes."""

    def __init__(
        self,
        table: ChunkTable,
        embedder: Embedder,
        max_bytes: int,
        num_workers: int,
    ) -> None:
        super().__init__(table, embedder, max_bytes)
        self.num_workers = num_workers

    def files(self, found: Sequence[Found], progress: Callable[[int, int, str], None]) -> None:
        """Read and commit them all; `progress` is told bytes done, in total, and a file's name.

        KeyboardInterrupt ends every process, with what it has committed. Raises StorageError where
        one ended before its time, when the others are through.
        """
        shares = [share for share in shared_out(found, self.num_workers) if share]
        workers = [_Worker(self.table.name, self.max_bytes, share) for share in shares]
        total = sum(file.num_bytes for file in found)
        said: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        try:
            for number, worker in enumerate(workers):
                worker.start(number, said)
            self._listen(workers, said, total, progress)
        finally:
            for worker in workers:
                worker.end()
        failed = [worker.why for worker in workers if worker.why]
        if failed:
            raise StorageError(
                f"index {self.table.name}: {failed[0]}; what is done is kept: the same line goes on"
            )

    def _listen(
        self,
        workers: Sequence[_Worker],
        said: queue.Queue[tuple[int, dict[str, Any]]],
        total: int,
        progress: Callable[[int, int, str], None],
    ) -> None:
        interrupt: KeyboardInterrupt | None = None
        while any(worker.is_open for worker in workers):
            try:
                number, line = said.get()
                workers[number].hear(line, self.report)
                if "note" in line:
                    progress(sum(worker.done for worker in workers), total, line["note"])
            except KeyboardInterrupt as again:
                if interrupt is not None:
                    raise
                interrupt = again
                for worker in workers:
                    worker.interrupt()
        if interrupt is not None:
            raise interrupt


class _Worker:
    """One process, as who asked it sees it. `why`: why it ended before its time."""

    def __init__(self, index: str, max_bytes: int, files: Sequence[Found]) -> None:
        self._asked = {
            "index": index,
            "max_bytes": max_bytes,
            "files": [[os.fsencode(f.path).hex(), f.origin, f.num_bytes] for f in files],
        }
        self.done, self.is_open, self.why = 0, True, ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, number: int, said: queue.Queue[tuple[int, dict[str, Any]]]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
            start_new_session=True,  # ■ reaches it by its input alone
        )
        self._process = process
        threading.Thread(target=_read, args=(process, number, said), daemon=True).start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._asked) + "\n")
        process.stdin.flush()

    def hear(self, line: dict[str, Any], report: Ingested) -> None:
        """What it said, or that it said its last."""
        self.done = line.get("done", self.done)
        if "report" in line:
            _add(report, line["report"])
            if line["report"]["finish"] == "interrupt":
                self.why = "a process of its own was interrupted"
        self.why = line.get("error", self.why)
        if "over" in line:
            self.is_open = False
            if line["over"] and not self.why:
                self.why = f"a process of its own ended with {line['over']}"

    def interrupt(self) -> None:
        """Let it end with what it has committed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def end(self) -> None:
        """It is over, within seconds."""
        if self._process is None:
            return
        self.interrupt()
        try:
            self._process.wait(END_S if self.is_open else None)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _read(
    process: subprocess.Popen[str], number: int, said: queue.Queue[tuple[int, dict[str, Any]]]
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said.put((number, json.loads(line)))
    said.put((number, {"over": process.wait()}))


def shared_out(found: Sequence[Found], count: int) -> list[list[Found]]:
    """The files in `count` parts of about as many bytes, in order of their names."""
    parts: list[list[Found]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sorted(found, key=lambda file: -file.num_bytes):
        lightest = sizes.index(min(sizes))
        parts[lightest].append(file)
        sizes[lightest] += file.num_bytes + 1
    return [sorted(part, key=lambda file: file.path) for part in parts]


def _add(report: Ingested, found: dict[str, Any]) -> None:
    report.files += found["files"]
    report.changed += found["changed"]
    report.chunks += found["chunks"]
    report.skipped += [Skipped(one["path"], one["why"]) for one in found["skipped"]]
    report.notes |= found["notes"]
