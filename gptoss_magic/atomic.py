"""Files and folders that are there whole or not at all.

What is written lies beside its place under a hidden name, reaches the disk, and then takes its
place in one step. On any error or interrupt it is gone, and what was there before stays.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write that becomes the file `target`. Raises StorageError."""
    room = None
    try:
        with _storing(target):
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
        with _storing(target):
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
def _storing(target: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise StorageError(
            f"{target}: not written ({why}); free some space or give another directory"
        ) from error


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
