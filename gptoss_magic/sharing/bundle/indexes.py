"""An index that answers quote: as the whole table, as the files it was made of, or by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError, MissingPackage, StorageError
from gptoss_magic.sharing.bundle.manifest import BundledPart
from gptoss_magic.sharing.bundle.parts import PlannedFile, PlannedPart
from gptoss_magic.sharing.bundle.paths import safe_name
from gptoss_magic.sharing.bundle.sizes import size_text
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.sharing.bundle.paths import Names

WHOLE, SOURCES, NAME = "whole", "sources", "name"
FORMS = (WHOLE, SOURCES, NAME)
ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
OFFICE = {".docx", ".pptx", ".xlsx", ".odt", ".odp", ".ods", ".epub"}


@dataclass(frozen=True)
class IndexFiles:
    """Of one index: the files of its table, those it was made of, how many are no files here."""

    table: tuple[Path, ...]
    sources: tuple[Path, ...]
    num_left_out: int


def planned_index(name: str, version: str, names: Names, form: str = NAME) -> PlannedPart:
    """The index in one of FORMS; all its sizes are said. Raises InputError for others."""
    from gptoss_magic.retrieval.index import Index

    if form not in FORMS:
        raise InputError(f"--index {form}: give {', '.join(FORMS)}")
    try:
        index = Index.open(name)
    except (InputError, MissingPackage, StorageError) as error:
        why = f"not an index of this machine ({error})"
        return PlannedPart(BundledPart("index", name, version, "", why), form=NAME)
    made, files = index.info(), index_files(index)
    note = f"{made['embedder']}, version {made['version']}; {sizes(files)}"
    if form == NAME or not getattr(files, "table" if form == WHOLE else "sources"):
        note = f"only its name goes: --index whole or sources brings it ({note})"
        return PlannedPart(BundledPart("index", name, str(made["version"]), "", note), form=NAME)
    path = names.free("indexes/", name.rpartition("/")[2])
    planned = tuple(_table(index, files, path) if form == WHOLE else _sources(files, path, names))
    if form == SOURCES and files.num_left_out:
        note += f"; {counted(files.num_left_out, 'source')} left out: no files here"
    about = BundledPart("index", name, str(made["version"]), path, note)
    return PlannedPart(about, planned, form=form)


def index_files(index: Index) -> IndexFiles:
    """Files of a local index; a store that is not LanceDB's goes as its sources, or by name."""
    from gptoss_magic.retrieval.tables import table_files

    sources = sorted(index.known())
    files = [Path(s) for s in sources if Path(s).is_file() and not _is_zip(Path(s))]
    return IndexFiles(tuple(table_files(index.name)), tuple(files), len(sources) - len(files))


def _is_zip(file: Path) -> bool:
    """True for an archive, which no bundle holds; an office document is none."""
    with file.open("rb") as stream:
        return stream.read(4) in ZIPS and file.suffix.lower() not in OFFICE


def sizes(files: IndexFiles) -> str:
    """`whole 3.2 MB, sources 12 kB in 3 files`."""
    whole, parts = (size_text(_num_bytes(paths)) for paths in (files.table, files.sources))
    return f"whole {whole}, sources {parts} in {counted(len(files.sources), 'file')}"


def _num_bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _table(index: Index, files: IndexFiles, path: str) -> Iterable[PlannedFile]:
    from gptoss_magic.retrieval import store

    where = store.place(index.name)
    root = Path(where.uri)
    for file in files.table:
        yield PlannedFile(f"{path}/{file.relative_to(root).as_posix()}", file)


def _sources(files: IndexFiles, path: str, names: Names) -> Iterable[PlannedFile]:
    """Below the folder that all are in; nothing above it is told."""
    from os.path import commonpath

    root = Path(commonpath([file.parent for file in files.sources]))
    for file in files.sources:
        folders = [safe_name(name) for name in file.relative_to(root).parts[:-1]]
        folder = "".join(f"{name}/" for name in folders)
        yield PlannedFile(names.free(f"{path}/sources/{folder}", file.name), file)
