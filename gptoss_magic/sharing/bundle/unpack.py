"""A bundle opened: everything checked first, then unpacked into a new folder, and nothing used."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import is_empty, whole_folder
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.quoting import printable
from gptoss_magic.sharing.bundle.archive import opened
from gptoss_magic.sharing.bundle.contents import check_contents
from gptoss_magic.sharing.bundle.lock import packages_of
from gptoss_magic.sharing.bundle.manifest import LOCK
from gptoss_magic.sharing.bundle.paths import ANEW
from gptoss_magic.sharing.bundle.sizes import size_text
from gptoss_magic.sharing.records import records_of

if TYPE_CHECKING:
    from gptoss_magic.sharing.bundle.archive import Archive
    from gptoss_magic.sharing.bundle.manifest import Manifest


@dataclass(frozen=True)
class Bundle:
    """A bundle that was checked: all that it holds is what its manifest says.

    `packages`: version by name, of where it was made. `notebook`: as JSON, of a foreign hand.
    """

    path: Path
    manifest: Manifest
    packages: dict[str, str]
    notebook: Any

    @property
    def num_bytes(self) -> int:
        """Of all files, unpacked."""
        return sum(file.size for file in self.manifest.files)

    @property
    def num_answers(self) -> int:
        """Recorded in its notebook."""
        return len(list(records_of(self.notebook)))


def inspect_bundle(path: str | Path) -> Bundle:
    """Read a bundle and check all of it; nothing is written, nothing of it runs.

    Raises InputError in one line for anything that is wrong with it.
    """
    file = Path(path).expanduser()
    try:
        with opened(file) as archive:
            return _checked(file, archive)
    except InputError as error:
        raise InputError(f"{printable(file)}: {error}") from error


def _checked(path: Path, archive: Archive) -> Bundle:
    manifest = archive.manifest()
    for file in manifest.files:
        for _ in archive.checked_blocks(file):
            pass
    notebook = check_contents(archive, manifest)
    return Bundle(path, manifest, packages_of(archive.read(LOCK)), notebook)


def open_bundle(path: str | Path, into: str | Path | None = None) -> Path:
    """Unpack a bundle into a new folder (its own name, here); the notebook's path in it.

    Everything is checked before and once more as it is written. Nothing is attached, kept or run:
    adapters, personas, presets and indexes are files until you use them. No file that is there is
    written over. Raises InputError, StorageError; then nothing is written.
    """
    bundle = inspect_bundle(path)
    target = checked_folder(bundle.path, into)
    return unpack(bundle, target)


def checked_folder(path: str | Path, into: str | Path | None) -> Path:
    """The folder that a bundle goes to. Raises InputError where something is there."""
    target = Path(into).expanduser() if into is not None else Path(Path(path).stem)
    if target.is_symlink() or (target.exists() and not is_empty(target)):
        raise InputError(f"{target}: something is there; give a new folder by --into")
    return target


def unpack(bundle: Bundle, target: Path) -> Path:
    """Write a checked bundle as the folder `target`, whole or not at all; the notebook's path."""
    _check_room(bundle, target)
    try:
        with whole_folder(target) as room, opened(bundle.path) as archive:
            for file in bundle.manifest.files:
                place = _inside(room, file.path)
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as stream:
                    for block in archive.checked_blocks(file):
                        stream.write(block)
    except InputError as error:
        raise InputError(f"{printable(bundle.path)}: {error}") from error
    return target / bundle.manifest.notebook


def _inside(room: Path, path: str) -> Path:
    """The place of a checked path; what leads out of the folder is refused once more."""
    place = room.joinpath(*path.split("/"))
    if not place.resolve().is_relative_to(room.resolve()):
        raise InputError(f"the path {path[:80]!r} in it leads elsewhere; {ANEW}")
    return place


def _check_room(bundle: Bundle, target: Path) -> None:
    """Raise StorageError where the disk has less room than the bundle needs."""
    existing = next(p for p in (target.absolute(), *target.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < bundle.num_bytes:
        raise StorageError(
            f"{target}: {size_text(bundle.num_bytes)} are to be unpacked, and the disk has "
            f"{size_text(free)}; free some space, or give another folder by --into"
        )
