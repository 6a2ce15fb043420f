"""The texts of a notebook and of what goes with it, each with its place: what is looked through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.sharing.bundle.secret_patterns import KEYS, PASSWORDS, TOKENS
from gptoss_magic.textfiles import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gptoss_magic.sharing.records import RecordedAnswer

PICTURE = re.compile(r"(?:image/(?!svg)|audio/|video/|application/pdf)")
TELLING = re.compile(rf"(?i)(?:{PASSWORDS}|{KEYS}|{TOKENS})$")  # a name that tells what it names


def notebook_texts(notebook: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(place, text) of a notebook's cells, outputs, attachments and metadata, not of its tokens."""
    cells = notebook.get("cells", [])
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            yield from _within(f"cell {number}", cell)
            continue
        for name, value in cell.items():
            if name == "outputs" and isinstance(value, list):
                for at, output in enumerate(value, 1):
                    yield from _within(f"cell {number}, output {at}", output)
            else:
                place = f"cell {number}" if name == "source" else f"cell {number}, {name}"
                yield from _within(place, value)
    yield from _within("metadata", {k: v for k, v in notebook.items() if k != "cells"})


def _within(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Texts below a JSON value. Lines of one text are joined, pictures left out."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        if value and all(isinstance(line, str) for line in value):
            yield place, "".join(value)
        else:
            for one in value:
                yield from _within(place, one)
    elif isinstance(value, dict):
        yield place, "\n".join(map(str, value))
        for key, one in value.items():
            if TELLING.search(key) and isinstance(one, str):
                yield place, f'"{key}": "{one}"'
            elif not PICTURE.match(key):
                yield from _within(_place(place, key), one)


def _place(place: str, key: str) -> str:
    """Metadata and data are worth telling apart; what stands deeper is not."""
    return f"{place}, metadata" if key == "metadata" and "metadata" not in place else place


def has_pictures(notebook: Any) -> bool:
    """True where there is something that cannot be looked through."""
    if isinstance(notebook, list):
        return any(map(has_pictures, notebook))
    if isinstance(notebook, dict):
        return any(PICTURE.match(key) or has_pictures(one) for key, one in notebook.items())
    return False


def token_texts(answers: Sequence[RecordedAnswer]) -> Iterator[tuple[str, str]]:
    """What the recorded tokens say, where they are of the loaded model's vocabulary.

    They alone have system prompts and tools' results. A prompt holds all that came before it: the
    last call of an answer says everything.
    """
    for answer in answers:
        if answer.calls and answer.about.get("template") == template_here():
            call = answer.calls[-1]
            ids = [*call.prompt_ids, *call.answer_ids]
            yield f"cell {answer.cell}, tokens", current().codec.decode(ids)


def are_tokens_read(answers: Sequence[RecordedAnswer]) -> bool:
    """True where all recorded tokens are of the loaded model's vocabulary: they are read."""
    known = {answer.about.get("template") for answer in answers if answer.calls}
    return known <= {template_here()}


def template_here() -> str:
    """The digest of how prompts are rendered by the loaded model; '' where there is none."""
    from gptoss_magic.harmony.template import template_digest

    session = current()
    return template_digest(session.codec) if session.loaded is not None else ""


def journal_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """What a map's journal has of its rows."""
    from gptoss_magic.turns.rows.journal import read_journal

    for record in read_journal(folder).values():
        for name in ("final", "analysis", "error", "provenance"):
            yield f"journal {folder.name}, row {record['row']}", str(record.get(name) or "")


def index_texts(name: str) -> Iterator[tuple[str, str]]:
    """The chunks of an index, and where they are from."""
    from gptoss_magic.retrieval.index import Index

    for row in Index.open(name).chunks.all():
        for column in ("source", "origin", "heading", "text"):
            yield f"index {name}", str(row[column] or "")


def file_texts(path: Path, place: str) -> Iterator[tuple[str, str]]:
    """A file's text, where it is one."""
    try:
        yield place, decode(path.read_bytes()).text
    except InputError:
        return
