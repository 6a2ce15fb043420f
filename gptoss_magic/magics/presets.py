"""Settings kept by name: one JSON file each in the user's configuration directory."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import InputError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

NAME = re.compile(r"\w(?:[\w .+-]{0,62}[\w+-])?")
END = ".json"


def home() -> Path:
    """Where presets lie."""
    from platformdirs import user_config_path

    return user_config_path("gptoss_magic") / "presets"


def names() -> list[str]:
    """Of all presets, sorted."""
    if not home().is_dir():
        return []
    stems = (file.name.removesuffix(END) for file in home().glob(f"*{END}"))
    return sorted(filter(NAME.fullmatch, stems))


def save(name: str, settings: dict[str, Any], *, may_replace: bool = False) -> Path:
    """Write a preset, whole or not at all.

    Raises InputError for a name that cannot be a file's, and for one that has other settings,
    unless those `may_replace`; StorageError.
    """
    file = _file(name)
    if not may_replace and is_taken(name, settings):
        raise InputError(
            f"preset {name!r}: there is one, of other settings; --force writes over it, or give "
            "another name"
        )
    with whole_file(file) as room:
        room.write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")
    return file


def is_taken(name: str, settings: dict[str, Any]) -> bool:
    """True where a preset of that name has other settings, or is damaged."""
    if not _file(name).is_file():
        return False
    try:
        return bool(load(name) != json.loads(json.dumps(settings)))
    except InputError:
        return True


def load(name: str) -> dict[str, Any]:
    """The settings of a preset. Raises InputError where there is none, or it is damaged."""
    file = _file(name)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(names()) or "none"
        raise InputError(f"preset {name!r}: there is none; there are {known}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"preset {name!r}: {file} is damaged ({error}); save it anew by --force, or delete it"
        ) from error
    if not isinstance(found, dict):
        raise InputError(
            f"preset {name!r}: {file} is damaged (no object); save it anew by --force, or delete it"
        )
    return found


def delete(name: str) -> None:
    """Forget a preset. Raises InputError where there is none, StorageError."""
    try:
        _file(name).unlink()
    except FileNotFoundError:
        raise InputError(f"preset {name!r}: there is none; see %gptoss panel --list") from None
    except OSError as error:
        raise StorageError(f"{_file(name)}: not deleted ({error}); delete it by hand") from error


def _file(name: str) -> Path:
    if not NAME.fullmatch(name):
        raise InputError(
            f"preset {name!r}: give a name of letters, digits, spaces, '.', '_', '+' and '-', "
            "at most 64"
        )
    return home() / f"{name}{END}"
