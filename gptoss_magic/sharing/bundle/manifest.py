"""`bundle.json`: what a bundle holds, what it needs, and where it was made."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.sharing.bundle.paths import ANEW
from gptoss_magic.textfiles import json_value

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
MANIFEST, LOCK = "bundle.json", "packages.txt"
MOST_ENTRIES, MOST_CHARS = 20_000, 2000
SHA256 = re.compile(r"[0-9a-f]{64}")
KINDS = ("adapter", "persona", "preset", "index", "journal")
HOLDERS = {kind: f"{kind}s/" for kind in KINDS} | {"index": "indexes/"}


@dataclass(frozen=True)
class BundledFile:
    """`size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class BundledModel:
    """A model by the digest of its weights; `name` is only what it was called."""

    name: str
    weights: str


@dataclass(frozen=True)
class BundledPart:
    """Something that the answers name. `kind` is one of KINDS.

    `digest`: an adapter's uid, a persona's SHA-256, an index's version; '' of others. `path`: its
    file or folder in the bundle, '' where it is not in it. `note`: in which form, or why not.
    """

    kind: str
    name: str
    digest: str
    path: str
    note: str


@dataclass(frozen=True)
class Machine:
    """Where the bundle was made: versions of Python and gptoss_magic, system, device, threads."""

    python: str
    gptoss_magic: str
    system: str
    device: str
    threads: int


@dataclass(frozen=True)
class Manifest:
    """`notebook` is its file in the bundle; `template` a digest of how prompts were rendered."""

    notebook: str
    template: str
    machine: Machine
    models: tuple[BundledModel, ...]
    parts: tuple[BundledPart, ...]
    files: tuple[BundledFile, ...]

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {"version": VERSION, **asdict(self)}


def read_manifest(data: bytes) -> Manifest:
    """The manifest of a foreign bundle. Raises InputError for anything that is none."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{MANIFEST}: no UTF-8 ({error.reason}); {ANEW}") from error
    known = json_value(text, MANIFEST)
    if not isinstance(known, dict) or type(known.get("version")) is not int:
        raise InputError(
            f"{MANIFEST}: it has no version, so it is no bundle of gptoss_magic; give one made by "
            "%gptoss share"
        )
    if known["version"] != VERSION:
        raise InputError(
            f"{MANIFEST}: version {known['version']}, and {VERSION} is read here; bring "
            "gptoss_magic to the version that made it"
        )
    files = tuple(_entry(BundledFile, one, "files") for one in _entries(known, "files"))
    for file in files:
        if file.size < 0 or not SHA256.fullmatch(file.sha256):
            raise InputError(f"{MANIFEST}: files: a size or a SHA-256 that is none; {ANEW}")
    top = _entry(_Top, known, "the top")
    return Manifest(
        top.notebook,
        top.template,
        _entry(Machine, known.get("machine"), "machine"),
        tuple(_entry(BundledModel, one, "models") for one in _entries(known, "models")),
        tuple(_entry(BundledPart, one, "parts") for one in _entries(known, "parts")),
        files,
    )


@dataclass(frozen=True)
class _Top:
    notebook: str
    template: str


def _entries(known: dict[str, Any], name: str) -> Sequence[Any]:
    entries = known.get(name)
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise InputError(
            f"{MANIFEST}: {name} is no list of {MOST_ENTRIES:,} entries at most; {ANEW}"
        )
    return entries


def _entry(kind: type[Any], value: Any, place: str) -> Any:
    """A record of `kind`, whose fields are texts and whole numbers."""
    if not isinstance(value, dict):
        raise InputError(f"{MANIFEST}: {place}: an entry is no object; {ANEW}")
    found: dict[str, Any] = {}
    for field in fields(kind):
        one = value.get(field.name)
        wanted = int if field.type == "int" else str
        if type(one) is not wanted or (isinstance(one, str) and len(one) > MOST_CHARS):
            raise InputError(
                f"{MANIFEST}: {place}: {field.name!r} is missing, odd or too long; {ANEW}"
            )
        found[field.name] = one
    return kind(**found)


def check_parts(manifest: Manifest, paths: set[str]) -> None:
    """Raise InputError where the manifest names what is not in the bundle, or in a wrong place."""
    if manifest.notebook not in paths or "/" in manifest.notebook:
        raise InputError(f"{MANIFEST}: the notebook that it names is not in the bundle; {ANEW}")
    for part in manifest.parts:
        if part.kind not in KINDS:
            raise InputError(f"{MANIFEST}: parts: there is no kind {part.kind[:40]!r}; {ANEW}")
        is_there = any(path == part.path or path.startswith(f"{part.path}/") for path in paths)
        if part.path and not (is_there and part.path.startswith(HOLDERS[part.kind])):
            raise InputError(
                f"{MANIFEST}: {part.kind} {part.name[:80]!r} is not where it says; {ANEW}"
            )
