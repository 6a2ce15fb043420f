"""Which files a path stands for. What is left out is named, with the reason."""

from __future__ import annotations

import glob
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import is_encodable, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSED_OVER = {"node_modules", "__pycache__", "site-packages"}
MAX_BYTES = 20_000_000


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the index, and why; `found` where its size alone speaks against it.

    The path as it is, or with escapes where its name is not UTF-8.
    """

    path: str
    why: str
    found: Found | None = None


@dataclass(frozen=True)
class Found:
    """A file to read: its real path, the argument (made absolute) that led to it, its bytes."""

    path: Path
    origin: str
    num_bytes: int


def walk(argument: str, max_bytes: int = MAX_BYTES) -> Iterator[Found | Skipped]:
    """Files of one file, folder or glob, in order of their names.

    Links are not followed; hidden folders and installed packages are passed over. Nothing comes of
    what is not there. Raises InputError for a pattern that is none.
    """
    given = absolute(argument)
    if given.is_dir():
        yield from _folder(given.resolve(), max_bytes)
    elif given.is_file():
        yield _checked(given.resolve(), str(given.resolve()), max_bytes)
    elif glob.has_magic(argument):
        yield from _glob(given, max_bytes)


def check(argument: str) -> Path:
    """The absolute path of an argument. Raises InputError where it is none that could be walked."""
    given = absolute(argument)
    try:
        is_there = given.is_dir() or given.is_file()
    except OSError as error:  # too long a name, a folder that may not be entered
        raise InputError(
            f"{printable(argument)[:300]}: {error.strerror or error}; give another path"
        ) from error
    if not (is_there or glob.has_magic(argument)):
        raise InputError(
            f"{printable(argument)}: no such file, folder or pattern; give one that is there"
        )
    return given


def absolute(argument: str) -> Path:
    """The argument as an absolute path. Raises InputError for `~` of nobody."""
    try:
        return Path(argument).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(
            f"{printable(argument)}: no such home folder; write the whole path"
        ) from error


def _folder(root: Path, max_bytes: int) -> Iterator[Found | Skipped]:
    closed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=closed.append, followlinks=False):
        here = Path(folder)
        for name in sorted(folders):
            if (here / name).is_symlink():
                yield Skipped(_shown(here / name), "a link to a folder is not followed")
        folders[:] = sorted(name for name in folders if not _passed_over(name))
        for name in sorted(names):
            yield _inside(here / name, root, str(root), max_bytes)
    for error in closed:
        yield Skipped(printable(str(error.filename)), error.strerror or "cannot be read")


def _glob(pattern: Path, max_bytes: int) -> Iterator[Found | Skipped]:
    """Files that match, below the folder in front of the first wildcard."""
    parts = pattern.parts
    split = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root, below = Path(*parts[:split]).resolve(), parts[split:]
    if not root.is_dir():
        raise InputError(f"{printable(pattern)}: no such folder; give one that is there")
    try:
        matches = sorted(root.glob(str(Path(*below))))
    except (ValueError, NotImplementedError) as error:
        raise InputError(
            f"{printable(pattern)}: {error}; write ** as a folder of its own, as docs/**/*.md"
        ) from error
    for path in matches:
        folders = path.relative_to(root).parts[:-1]
        if not path.is_dir() and not any(map(_passed_over, set(folders) - set(below))):
            yield _inside(path, root, str(root.joinpath(*below)), max_bytes)


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name in PASSED_OVER


def _inside(path: Path, root: Path, origin: str, max_bytes: int) -> Found | Skipped:
    """`path`, where it truly lies below `root`."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        return Skipped(_shown(path), "leads outside the given folder")
    if path.is_symlink():
        return Skipped(_shown(path), "a link is not followed")
    if path.name.startswith("."):
        return Skipped(_shown(path), "hidden; name the file to index it")
    return _checked(real, origin, max_bytes)


def _shown(path: Path) -> str:
    """The path where it can be written, else with escapes: a table holds no other."""
    return str(path) if is_encodable(str(path)) else printable(path)


def _checked(path: Path, origin: str, max_bytes: int) -> Found | Skipped:
    if not is_encodable(str(path)):
        return Skipped(_shown(path), "its name is not UTF-8; rename it to index it")
    try:
        status = path.stat()
    except OSError as error:
        return Skipped(str(path), error.strerror or "cannot be read")
    if not stat.S_ISREG(status.st_mode):
        return Skipped(str(path), "not a regular file")
    if not status.st_size:
        return Skipped(str(path), "empty")
    found = Found(path, origin, status.st_size)
    if status.st_size <= max_bytes:
        return found
    size, limit = math.ceil(status.st_size / 1e6), max_bytes / 1e6
    why = f"too large: {size:,} MB, the limit is {limit:g} MB; --max-mb {size} takes it"
    return Skipped(str(path), why, found)
