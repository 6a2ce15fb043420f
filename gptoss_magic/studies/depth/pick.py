"""A rung of a depth study as a persona: its text, its adapter and its retrieval as one file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.agents.persona import Persona, check_name
from gptoss_magic.agents.persona_file import parse_persona
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import harmless_lines, printable
from gptoss_magic.records.depth import BARE
from gptoss_magic.studies.depth import context, ladder
from gptoss_magic.studies.depth.journal import kept_rung, read_study
from gptoss_magic.textfiles import read_text
from gptoss_magic.tuning.runs import checked_name
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from gptoss_magic.studies.depth.journal import RungRecord, StudyRecord

EXAMPLES = "So were earlier questions answered:"


@dataclass(frozen=True)
class PickedRung:
    """`persona` of a rung; `run` made its adapter, '' where none did. `remarks`: what differs from
    how it was measured, a line each. `model`: what the study was begun on.
    """

    persona: Persona
    run: str
    remarks: tuple[str, ...]
    model: dict[str, object]


def pick(folder: Path, key: str, name: str) -> PickedRung:
    """The rung `key` of the study in `folder` as the persona `name`.

    Raises InputError for a rung that is none, was not done, or is bare; CheckpointError.
    """
    study = read_study(folder)
    check_known("rung", [key], [rung.key for rung in study.plan.rungs])
    if key == BARE:
        raise InputError("rung bare is the model as it is: %gptoss persona use none")
    rung = kept_rung(folder, key)
    if rung is None or rung.why:
        why = (
            f"could not be done ({rung.why}): choose another"
            if rung
            else "is not done yet: resume the study"
        )
        raise InputError(f"rung {key} {why}")
    persona, remarks = Persona(check_name(name)), []
    for part in rung.rung.parts or (key,):
        record = rung if part == key else kept_rung(folder, part)
        if record is None:
            raise InputError(f"rung {key}: its part {part} is missing; resume the study")
        more, remark = _part(folder, study, record)
        persona = _joined(persona, more)
        remarks += [remark] if remark else []
    run = checked_name(rung.run) if rung.run else ""
    persona = replace(persona, adapters=(run,) if run else ())
    return PickedRung(persona, run, tuple(remarks), study.model)


def _part(folder: Path, study: StudyRecord, record: RungRecord) -> tuple[Persona, str]:
    """(what a rung says, retrieves or offers, what differs); nothing where it only trains."""
    step, plain = record.rung.step, Persona("part")
    if step == ladder.SYSTEM:
        return replace(plain, text=str(study.body.get("system") or "").strip()), ""
    if step == ladder.PERSONA:
        return _read(folder / "personas" / Path(record.persona).name), ""
    if step == ladder.EXAMPLES:
        remark = "its rows stand in the text here; they were measured as turns of an earlier talk"
        return replace(plain, text=_examples(study, _amount(record))), remark
    if step == ladder.RETRIEVAL:
        return replace(plain, rag=f"{folder}/rows", passages=_amount(record)), ""
    if step == ladder.TOOLS:
        names = tuple(map(str, study.body.get("tools") or ()))
        return replace(
            plain, tools=names
        ), f"the notebook must have its functions {', '.join(names)}"
    return plain, ""


def _joined(one: Persona, other: Persona) -> Persona:
    """What the other says, in the place of what this one says or leaves open."""
    plain, known = Persona("part"), vars(other).items()
    said = {name: value for name, value in known if value != getattr(plain, name)}
    return replace(one, **{**said, "name": one.name, "source": ""})


def _read(file: Path) -> Persona:
    if not file.is_file():
        raise InputError(
            f"{printable(file)}: the persona of the study is missing; resume the study"
        )
    return replace(parse_persona(read_text(file).text, otherwise=file.stem), source="")


def _examples(study: StudyRecord, num: int) -> str:
    """The rows that the rung showed, quoted."""
    rows = context.shuffled(study.split.train, study.plan.seed)[:num]
    pairs = [(harmless_lines(row.prompt), harmless_lines(row.messages[-1].content)) for row in rows]
    shown = [f"Question: {question}\nAnswer: {answer}" for question, answer in pairs]
    return "\n\n".join([EXAMPLES, *shown])


def _amount(record: RungRecord) -> int:
    """Of rows or passages, as the rung's key ends: `examples-4`."""
    number = record.rung.key.rpartition("-")[2]
    if not number.isdecimal() or not int(number):
        raise InputError(f"rung {record.rung.key}: its key does not say how many; resume the study")
    return int(number)
