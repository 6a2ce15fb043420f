"""The rows of a map: they stand in its journal, and the notebook has their keys.

The notebook is untrusted: a journal is read where maps keep theirs, below the notebook's own
folder, and where the user says it lies, and nowhere else.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.quoting import printable
from gptoss_magic.records.packed import AGAIN
from gptoss_magic.sharing.records import read_record
from gptoss_magic.textfiles import json_value
from gptoss_magic.turns.rows.journal import KEY_DIGITS, read_journal
from gptoss_magic.turns.rows.settings import maps_folder
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gptoss_magic.sharing.records import RecordedAnswer
    from gptoss_magic.turns.rows.journal import RowRecord

KEYS = re.compile(rf"(?:[0-9a-f]{{{KEY_DIGITS}}})+")


def with_rows(
    answer: RecordedAnswer, folder: Path, journal: Path | None
) -> Iterator[RecordedAnswer]:
    """The answer; a map's as its rows, in their order. `folder`: the notebook's.

    `journal`: where it lies, None for where it was written or a bundle put it. What cannot be found
    is one answer with its fault.
    """
    if "map" not in answer.about:
        yield answer
        return
    about: Mapping[str, Any] = answer.about
    try:
        keys = _keys(about["map"])
        rows = _rows(_place(str(about["map"].get("journal", "")), folder, journal))
    except GptOssError as error:
        yield replace(answer, fault=str(error))
        return
    known = [rows[key] for key in keys if key in rows]
    for row in sorted(known, key=lambda row: row["row"]):
        yield _answer(row, answer)
    if lost := len(keys) - len(known):
        yield replace(
            answer, fault=f"{lost} of {counted(len(keys), 'row')} are not in the journal any more"
        )


def _keys(about: Mapping[str, Any]) -> list[str]:
    keys = about.get("keys")
    if keys is None:
        raise InputError(
            "a map's rows stand in its journal, and an older version kept no keys: run the map "
            "again"
        )
    if not isinstance(keys, str) or not KEYS.fullmatch(keys):
        raise InputError(f"the record is damaged: a map's keys cannot be read; {AGAIN}")
    starts = range(0, len(keys), KEY_DIGITS)
    return list(dict.fromkeys(keys[at : at + KEY_DIGITS] for at in starts))


def _place(named: str, folder: Path, journal: Path | None) -> Path:
    """The journal's folder. Raises InputError where there is none that may be read."""
    if journal is not None:
        if not journal.is_dir():
            raise InputError(f"--journal {printable(journal)}: no such folder")
        return journal
    home = Path(os.path.abspath(folder))  # noqa: PTH100 (nothing is looked at yet)
    at = Path(os.path.abspath(home / Path(named).expanduser()))  # noqa: PTH100
    places = [home / "journals" / at.name, at]
    ours = [p for p in places if p.is_relative_to(home) or p.is_relative_to(maps_folder())]
    for place in ours:
        if place.is_dir():
            return place
    raise InputError(
        f"a map's rows stand in its journal, and {printable(named) or 'none'} is not here: "
        "say where it lies by --journal FOLDER"
    )


def _rows(place: Path) -> dict[str, RowRecord]:
    """By the part of their keys that notebooks have."""
    return {str(key)[:KEY_DIGITS]: row for key, row in read_journal(place).items()}


def _answer(row: RowRecord, answer: RecordedAnswer) -> RecordedAnswer:
    asked = f"row {row['row']} · {answer.asked}"
    try:
        record = json_value(row["provenance"], f"row {row['row']}")
    except InputError as error:
        return replace(answer, asked=asked, fault=f"the record is damaged: {error}")
    return read_record(record if isinstance(record, dict) else {}, asked, answer.cell, answer.order)
