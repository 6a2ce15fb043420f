"""`map`: a template answered for each row of a DataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.turns.rows.frame import MapFrame
from gptoss_magic.turns.rows.run import run_map
from gptoss_magic.turns.rows.settings import MapSettings
from gptoss_magic.turns.rows.template import RowTemplate
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.records import Mapped


@public
def map(  # noqa: A001 (what it does)
    frame: Any,
    template: str,
    *,
    into: str = "answer",
    names: Mapping[str, Any] | None = None,
    batch: int = BATCH,
    journal: str | Path | None = None,
    on_row: Callable[[int, int, int], None] = lambda done, total, tokens: None,
    defaults: Mapping[str, Any] | None = None,
    ready: Callable[[], object] | None = None,
    **settings: Any,
) -> Mapped:
    """Answer a Jinja `template` for each row of a pandas DataFrame, many rows at a time.

    Columns (and `names`) are the template's variables, `row["a name"]` reaches any column; a cell
    that is missing fails its row where the template wants its text. The answers go into the column
    `into` as they come, what fails into `into`_error; a column that no map wrote is never filled.
    `settings`, `defaults`, `ready`: see `turns.settle`. With a `schema` answers become checked JSON
    values. Row n draws with seed + n (seed 0 where none is given). What was answered is kept in
    `journal`, a folder: the same call goes on where it was stopped, unless `new`, which forgets
    these rows and no others.
    Raises InputError, MissingPackage, StorageError, NotLoaded.
    """
    if batch < 1:
        raise InputError(f"batch {batch}: give 1 row or more")
    rows = MapFrame(frame, into)
    row_template = RowTemplate(template, rows.columns, names or {})
    known = {**(defaults or {})}
    if known.get("seed") is None:
        known["seed"] = 0
    base = settle(defaults=known, ready=ready, **settings)
    place = Path(journal).expanduser() if journal else None
    map_settings = MapSettings(base, batch, place, settings.get("date") or known.get("date"))
    return run_map(rows, row_template, map_settings, on_row)
