"""What a map has answered so far: a folder of Parquet files, each complete before it has its name.

A kernel that dies loses what the last `FLUSH_S` seconds brought. Rows are found again by `key`.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, TypedDict

from gptoss_magic.errors import MissingPackage, StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType
    from typing import Self

FLUSH_S = 2.0
FIELDS = ("key", "row", "final", "analysis", "error", "finish", "num_tokens", "provenance")
NUMBERS = {"row", "num_tokens"}
OURS = re.compile(r"\d{20}-\d+")  # time and process
KEY_DIGITS = 12  # of a row's key in a notebook, hexadecimal


class RowRecord(TypedDict):
    """One row of a map: all of FIELDS. `provenance`: `turns.record.record_of`, as JSON text."""

    key: str
    row: int
    final: str
    analysis: str
    error: str | None
    finish: str
    num_tokens: int
    provenance: str


class Journal:
    """`known` has the records that were there, by key. Used as a context: leaving it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fresh: list[RowRecord] = []
        self._mine: list[Path] = []
        self._written_at = monotonic()
        with _storage(folder, "cannot be made: mend its permissions"):
            folder.mkdir(parents=True, exist_ok=True)
        self._there = _files(folder)  # another kernel may add to them meanwhile
        self.known = _records(self._there)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        self._merge()

    def add(self, record: RowRecord) -> None:
        """Keep one record (all of FIELDS); it is on the disk after `FLUSH_S` seconds."""
        self._fresh.append(record)
        if monotonic() - self._written_at >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet. Raises StorageError; the records stay, to try again."""
        if self._fresh:
            self._mine.append(self._write(self._fresh))
            self._fresh = []
        self._written_at = monotonic()

    def forget(self, keys: Collection[str]) -> None:
        """Delete the records of these keys; what other maps keep in the folder stays."""
        if not self.known.keys() & set(keys):
            return
        self.known = {key: record for key, record in self.known.items() if key not in keys}
        kept = [self._write(list(self.known.values()))] if self.known else []
        for file in self._there:
            file.unlink(missing_ok=True)
        self._there = kept

    def _merge(self) -> None:
        """One file for all that this run wrote; without room for it they stay as they are."""
        if len(self._mine) < 2:  # noqa: PLR2004 (one needs no merging)
            return
        with suppress(StorageError):
            merged = self._write([record for file in self._mine for record in _read(file)])
            for file in self._mine:
                file.unlink(missing_ok=True)
            self._mine = [merged]

    def _write(self, records: list[RowRecord]) -> Path:
        pa, parquet = _arrow()
        kinds = [(f, pa.int64() if f in NUMBERS else pa.string()) for f in FIELDS]
        table = pa.Table.from_pylist(records, schema=pa.schema(kinds))
        name = f"{time_ns():020d}-{os.getpid()}"
        part, whole = self.folder / f"{name}.part", self.folder / f"{name}.parquet"
        with _storage(self.folder, "cannot be written: make room", part):
            parquet.write_table(table, part)
            part.replace(whole)
        return whole


def read_journal(folder: Path) -> dict[str, RowRecord]:
    """The records of a journal by key; nothing is made or changed. Raises StorageError."""
    return _records(_files(folder))


def _files(folder: Path) -> list[Path]:
    """Those that a journal wrote, oldest first; other Parquet files are none of ours."""
    return sorted(file for file in folder.glob("*.parquet") if OURS.fullmatch(file.stem))


def _records(files: list[Path]) -> dict[str, RowRecord]:
    return {record["key"]: record for file in files for record in _read(file)}


@contextmanager
def _storage(place: Path, what: str, half: Path | None = None) -> Iterator[None]:
    """OSError and Arrow's errors as one line that names the place; a half file is deleted."""
    try:
        yield
    except (OSError, ValueError) as error:
        if half is not None:
            half.unlink(missing_ok=True)
        raise StorageError(
            f"{place} {what}, or name another place by --journal ({error})"
        ) from error


def _read(file: Path) -> list[RowRecord]:
    _, parquet = _arrow()
    with _storage(file, "cannot be read: delete it"):
        try:
            return parquet.read_table(file, columns=list(FIELDS)).to_pylist()  # type: ignore[no-any-return]
        except FileNotFoundError:
            return []  # another kernel has merged it


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackage(
            "the journal needs pyarrow: pip install 'gptoss_magic[map]'"
        ) from error
    return pa, parquet
