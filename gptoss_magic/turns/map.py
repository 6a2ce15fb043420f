"""`map`: a template answered for each row of a DataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.turns.loading import load
from gptoss_magic.turns.settle import opening, provenance_of, sampling_settings, without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.records import Mapped


def map(  # noqa: A001 (what it does)
    frame: Any,
    template: str,
    *,
    into: str = "answer",
    names: Mapping[str, Any] | None = None,
    schema: Any = None,
    system: str | None = None,
    persona: Sequence[str] = (),
    effort: str | None = None,
    date: str | None = None,
    batch: int = 32,
    journal: str | Path | None = None,
    new: bool = False,
    adapters: Sequence[str] | None = None,
    on_row: Callable[[int, int, int], None] = lambda done, total, tokens: None,
    **sampling: Any,
) -> Mapped:
    """Answer a Jinja `template` for each row of a pandas DataFrame, many rows at a time.

    Columns (and `names`) are the template's variables, `row["a name"]` reaches any column. The
    answers go into the column `into` as they come, what fails into `into`_error. `schema` (a JSON
    schema or a pydantic model) is shown to the model, and answers become checked JSON values. Row
    n draws with seed + n (seed 0 where none is given). What was answered is kept in `journal`, a
    folder: the same call goes on where it was stopped, unless `new`. `adapters`, `persona`: see
    `generate`.
    Raises InputError, MissingPackage, StorageError, NotLoaded.
    """
    from gptoss_magic.agents.layers import overlay, record
    from gptoss_magic.turns.answer_schema import AnswerSchema
    from gptoss_magic.turns.prompt import chosen_how
    from gptoss_magic.turns.rows.frame import MapFrame
    from gptoss_magic.turns.rows.run import MapSettings, run_map
    from gptoss_magic.turns.rows.template import RowTemplate

    session = current()
    if session.resident is None:
        load()
    resident, engine = session.require()
    if batch < 1:
        raise InputError(f"batch {batch}: give 1 row or more")
    layers = session.layers(persona)
    voice = overlay(layers)
    sampling = chosen_how(voice, {**sampling, "adapters": adapters})
    adapters, effort = sampling.pop("adapters", None), effort or voice.effort or "medium"
    system = "\n\n".join(filter(None, (voice.instructions, system))) or None
    checked = AnswerSchema(schema) if schema is not None else None
    formats = checked.formats if checked else None
    scope = {**resident.identity, "system": system, "effort": effort, "date": date}
    records = session.shelf.records(adapters)
    if records:
        scope["adapters"] = [(record["uid"], record["scale"]) for record in records]
    settings = MapSettings(
        opening=opening(system, (), effort, date, formats),
        sampling=sampling_settings(greedy=resident.greedy, **{"seed": 0, **without_none(sampling)}),
        scope=scope,
        schema=checked,
        num_rows=batch,
        journal=Path(journal).expanduser() if journal else None,
        fresh=new,
    )
    rows = MapFrame(frame, into)
    made = RowTemplate(template, rows.columns, names or {})
    provenance = provenance_of(resident, records, effort)
    provenance |= {"persona": record(layers)} if layers else {}
    with session.using(adapters):
        return run_map(engine, rows, made, settings, provenance, on_row)
