"""Settings kept by name: one JSON file each in the user's configuration directory."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

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


def save(name: str, settings: dict[str, Any]) -> Path:
    """Write a preset, whole or not at all; an earlier one of that name is replaced.

    Raises InputError for a name that cannot be a file's, StorageError.
    """
    file = _file(name)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(settings, stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        raise StorageError(f"{file}: cannot be written ({error}); free some space") from error
    finally:
        fresh.unlink(missing_ok=True)
    return file


def load(name: str) -> dict[str, Any]:
    """The settings of a preset. Raises InputError where there is none, or it is damaged."""
    file = _file(name)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(names()) or "none"
        raise InputError(f"preset {name!r}: there is none; presets: {known}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"preset {name!r}: {file} is damaged ({error}); save it anew or delete it"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"preset {name!r}: {file} is damaged (no object); save it anew")
    return found


def delete(name: str) -> None:
    """Forget a preset. Raises InputError where there is none, StorageError."""
    try:
        _file(name).unlink()
    except FileNotFoundError:
        raise InputError(f"preset {name!r}: there is none to delete") from None
    except OSError as error:
        raise StorageError(f"{_file(name)}: cannot be deleted ({error})") from error


def _file(name: str) -> Path:
    if not NAME.fullmatch(name):
        raise InputError(
            f"preset {name!r}: give a name of letters, digits, spaces, '.', '_', '+' and '-', "
            "at most 64"
        )
    return home() / f"{name}{END}"
