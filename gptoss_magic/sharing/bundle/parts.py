"""One by one what an answer names: whether this session has it, and which files that are."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable
from gptoss_magic.session import current
from gptoss_magic.sharing.bundle.manifest import BundledPart
from gptoss_magic.sharing.bundle.texts import file_texts, index_texts, journal_texts
from gptoss_magic.sharing.notebooks import cells_of, source_of
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gptoss_magic.adapters import Adapter
    from gptoss_magic.sharing.bundle.paths import Names

PRESET_LINE = re.compile(
    r"%gptoss\s+panel\b[^\n]*?(?:--load|--save|-l|-s)[ =](['\"]?)([^\n'\"]+)\1"
)
JOURNAL_FILE = re.compile(r"\d{20}-\d+\.parquet")


@dataclass(frozen=True)
class PlannedFile:
    """`path` in the bundle; `source` is a file here, or the bytes themselves."""

    path: str
    source: Path | bytes

    @property
    def num_bytes(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


@dataclass(frozen=True)
class PlannedPart:
    """`about` is what the manifest will say. An `adapter` is written when the bundle is.

    `form`: of an index, 'whole', 'sources' or 'name'.
    """

    about: BundledPart
    files: tuple[PlannedFile, ...] = ()
    adapter: Adapter | None = None
    form: str = ""

    @property
    def num_bytes(self) -> int:
        written = sum(file.num_bytes for file in self.files)
        if self.adapter is None:
            return written
        numbers = (p for part in self.adapter.parts for p in part.parameters())
        return written + sum(p.numel() * p.element_size() for p in numbers)

    def texts(self) -> Iterator[tuple[str, str]]:
        """(place, text) of all that is read in it by others."""
        name = f"{self.about.kind} {self.about.name}"
        if self.adapter is not None:
            yield name, json.dumps(self.adapter.config, ensure_ascii=False, default=str)
        if self.about.kind == "journal" and self.files:
            first = self.files[0].source
            assert isinstance(first, Path)
            yield from journal_texts(first.parent)
        elif self.about.kind == "index" and self.form == "whole":
            yield from index_texts(self.about.name)
        else:
            yield from self._file_texts(name)

    def _file_texts(self, name: str) -> Iterator[tuple[str, str]]:
        for file in self.files:
            if isinstance(file.source, bytes):
                yield name, file.source.decode()
            else:
                yield from file_texts(file.source, f"{name}, {file.source.name}")


def planned_adapter(record: Mapping[str, Any], names: Names) -> PlannedPart:
    """The attached adapter of this content, under any name."""
    name, uid = str(record.get("name", "")), str(record.get("uid", ""))
    shelf = current().held_adapters
    for held in shelf.held.values() if shelf is not None else ():
        if held.adapter.uid == uid:
            path = names.free("adapters/", name or held.adapter.name)
            note = held.adapter.describe()
            return PlannedPart(BundledPart("adapter", name, uid, path, note), (), held.adapter)
    why = "no attached adapter has these numbers: attach it, and share again"
    return PlannedPart(BundledPart("adapter", name, uid, "", why))


def planned_persona(name: str, sha256: str, names: Names) -> PlannedPart:
    """A persona of this session by its name, with a note where its text is another one now."""
    from gptoss_magic.agents.layers import digest
    from gptoss_magic.agents.persona_file import render_persona

    persona = current().personas.get(name)
    if persona is None:
        why = "this session has none of that name: run its cell, or %gptoss persona import"
        return PlannedPart(BundledPart("persona", name, sha256, "", why))
    path = names.free("personas/", f"{name}.md")
    text = encodable(persona.source or render_persona(persona))
    note = "" if digest(persona) == sha256 else "its text is another one than the answers had"
    about = BundledPart("persona", name, digest(persona), path, note)
    return PlannedPart(about, (PlannedFile(path, text.encode()),))


def presets_named(notebook: Any) -> list[str]:
    """Those that the notebook's cells load or save."""
    texts = (source_of(cell) for cell in cells_of(notebook) if isinstance(cell, dict))
    named = [found[2].strip() for text in texts for found in PRESET_LINE.finditer(text)]
    return list(dict.fromkeys(named))


def planned_preset(
    name: str, names: Names, preset_named: Callable[[str], dict[str, Any]]
) -> PlannedPart:
    """A preset of this user's settings."""
    try:
        settings = preset_named(name)
    except InputError as error:
        return PlannedPart(BundledPart("preset", name, "", "", str(error)))
    path = names.free("presets/", f"{name}.json")
    data = (json.dumps(settings, ensure_ascii=False, indent=1) + "\n").encode()
    return PlannedPart(BundledPart("preset", name, "", path, ""), (PlannedFile(path, data),))


def planned_journal(folder: str, names: Names) -> PlannedPart:
    """A map's journal: only files that a journal is made of are taken from the folder."""
    place = Path(folder).expanduser() if folder else None
    known = sorted(place.iterdir()) if place is not None and place.is_dir() else []
    files = [file for file in known if JOURNAL_FILE.fullmatch(file.name) and file.is_file()]
    name = place.name if place is not None else "a map's"
    if not files:
        why = "not here: run the map again, or it was made by an older version"
        return PlannedPart(BundledPart("journal", name, "", "", why))
    path = names.free("journals/", name)
    planned = tuple(PlannedFile(f"{path}/{file.name}", file) for file in files)
    return PlannedPart(BundledPart("journal", name, "", path, counted(len(files), "file")), planned)
