"""The recorded answers of a file, a notebook or a page: what `replay` runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable
from gptoss_magic.sharing.map_rows import with_rows
from gptoss_magic.sharing.page_records import notebook_of_page
from gptoss_magic.sharing.records import records_of
from gptoss_magic.textfiles import json_value, read_text

if TYPE_CHECKING:
    from gptoss_magic.sharing.records import RecordedAnswer


def recorded_answers(
    path: str | Path, cell: int | None = None, journal: str | Path | None = None
) -> list[RecordedAnswer]:
    """Those of a cell, counted from 1, or all; a map's are its rows, see `with_rows`.

    Raises InputError, StorageError.
    """
    file, place = Path(path).expanduser(), Path(journal).expanduser() if journal else None
    answers = answers_in(notebook_at(file), path)
    chosen = [
        row
        for answer in answers
        if cell in (None, answer.cell)
        for row in with_rows(answer, file.parent, place)
    ]
    if not chosen:
        numbers = ", ".join(str(n) for n in dict.fromkeys(answer.cell for answer in answers))
        raise InputError(f"cell {cell}: no answer is recorded there; there are cells {numbers}")
    return chosen


def answers_in(notebook: Any, path: str | Path) -> list[RecordedAnswer]:
    """The recorded answers of the notebook at `path`. Raises InputError where there are none."""
    answers = list(records_of(notebook))
    if not answers:
        raise InputError(
            f"{path}: no answer of gptoss_magic is recorded in it; give another notebook"
        )
    return answers


def notebook_at(path: Path) -> Any:
    """The notebook of a file, as JSON; a page's is inside it. Raises InputError."""
    check_file(path)
    text = read_text(path).text
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return notebook_of_page(text, printable(path))
    return json_value(text, printable(path))


def check_file(path: Path) -> None:
    """Raise InputError where there is no such file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a notebook (.ipynb) or a page (.html)")
