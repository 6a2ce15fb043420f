"""Files and folders that are there whole or not at all.

What is written lies beside its place under a hidden name, reaches the disk, and then takes its
place in one step. On any error or interrupt it is gone, and what was there before stays.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Self


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write that becomes the file `target`, or the one it links to.

    Raises StorageError.
    """
    room, target = None, Path(os.path.realpath(target))
    try:
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
            os.close(handle)
            room = Path(name)
            yield room
            _settle(room, 0o666)
            room.replace(target)
    finally:
        if room is not None:
            room.unlink(missing_ok=True)


def is_empty(folder: Path) -> bool:
    """True for a folder with nothing in it."""
    return folder.is_dir() and not any(folder.iterdir())


@contextmanager
def whole_folder(target: Path, may_replace: Callable[[Path], bool] = is_empty) -> Iterator[Path]:
    """A folder to fill that becomes `target`.

    Raises InputError where something is there that `may_replace` does not take for one of its own,
    StorageError where the disk refuses.
    """
    if target.exists() and not may_replace(target):
        raise InputError(f"{target}: something else is there; give another directory")
    room = None
    try:
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            room = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            yield room
            for file in room.rglob("*"):
                if file.is_file():
                    _settle(file, 0o666)
            room.chmod(0o777 & ~_umask())
            _put(room, target)
    finally:
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def storing(target: Path) -> Iterator[None]:
    """Turn what the disk refuses, through safetensors too, into a StorageError of one line."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        why = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{printable(target)}: not written ({why}); free some space or give another place"
        ) from error


class NewLines:
    """A new file that is written line by line: whole lines only, and no file where there are none.

    Raises InputError where something is there, StorageError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.num_lines = path, printable(path), 0
        try:
            self.file = path.open("xb", buffering=0)
        except FileExistsError as error:
            raise InputError(
                f"{self.name} is there already; give the name of a new file"
            ) from error
        except OSError as error:
            raise StorageError(
                f"{self.name}: {error.strerror or error}; give a file in a folder that you may "
                "write to"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.file.close()
        if not self.num_lines:
            self.path.unlink(missing_ok=True)

    def add(self, line: str) -> None:
        """One line more, which is on the disk before the next one is made."""
        try:
            append_line(self.file, line)
        except OSError as error:
            raise StorageError(
                f"{self.name}: {error.strerror or error}; {self.num_lines} lines are there; free "
                "some space"
            ) from error
        self.num_lines += 1


def append_line(file: IO[bytes], line: str) -> None:
    """`line` at the end of an unbuffered file, on the disk; or nothing of it. Raises OSError."""
    end, data = file.seek(0, os.SEEK_END), f"{line}\n".encode("utf-8", "replace")
    try:
        if file.write(data) < len(data):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        raise


def _settle(file: Path, mode: int) -> None:
    """Let the bytes reach the disk, with the rights that a new file has."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
    file.chmod(mode & ~_umask())


def _put(room: Path, target: Path) -> None:
    """Let `room` be `target`; what was there steps aside first, and comes back on an error."""
    if not target.exists():
        room.replace(target)
        return
    stand = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    target.replace(stand / "old")
    try:
        room.replace(target)
    except BaseException:
        (stand / "old").replace(target)
        stand.rmdir()
        raise
    shutil.rmtree(stand, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
