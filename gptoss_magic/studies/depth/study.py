"""`depth`: a study planned, begun, or gone on with, for scripts and for the magic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.runs.wanted import FOLDER as RUNS
from gptoss_magic.session import current
from gptoss_magic.studies.depth.body import ANSWER, DepthBody, body_of, guard_numbers
from gptoss_magic.studies.depth.guards import check_same, guards_of
from gptoss_magic.studies.depth.journal import (
    FOLDER,
    StudyRecord,
    folder_of,
    kept_rung,
    new_study,
    plain_body,
    read_study,
)
from gptoss_magic.studies.depth.ladder import Candidate, candidates, check_choice
from gptoss_magic.studies.depth.plan import MINUTES, StudySetting, plan_study
from gptoss_magic.studies.depth.runner import DepthStudy
from gptoss_magic.studies.depth.split import split_rows
from gptoss_magic.studies.depth.task import split_task, task_parts
from gptoss_magic.turns.names import persona_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.records.depth import Depth, DepthPlan, Rung
    from gptoss_magic.studies.depth.task import DepthTask

NAME = "depth"
MOST_NAME = 40  # letters of a study's name


@dataclass(frozen=True)
class Places:
    """Where studies lie, and where the runs of their trained rungs do."""

    studies: Path = Path(FOLDER)
    runs: Path = Path(RUNS)


HERE = Places()


@public
def depth(
    rows: Any = None,
    *,
    name: str = NAME,
    checker: Any = ANSWER,
    rubric: str = "",
    system: str = "",
    persona: str = "",
    tools: Sequence[Any] = (),
    guards: Mapping[str, Any] | Sequence[str] | None = None,
    max_tokens: int = 0,
    steps: int = 0,
    minutes: float = MINUTES,
    rungs: Sequence[int] = (),
    strengths: str = "all",
    held_out: int | None = None,
    seed: int = 0,
    resume: bool = False,
    go: bool = True,
    folder: str | Path = FOLDER,
    runs: str | Path = RUNS,
    names: Mapping[str, Any] | None = None,
    on_plan: Callable[[DepthPlan], None] = lambda plan: None,
    on_rung: Callable[[Depth], None] | None = None,
) -> Depth:
    """How far the resident model can be specialised for a task, by what, and what that breaks.

    `rows`: as of `tune`, each a prompt and a wished answer; split once, `held_out` of them are
    asked. Right is what `checker(item, final)` says, 'answer' (the row's own), or a judge with a
    `rubric`. `system`, `persona`, `tools`: what there is to try; a persona that is not named is
    written from the rows. `guards`: names, or {name: items}; see `guards.KINDS`. `rungs`: steps of
    the ladder, 0 to 13, () for all; `strengths`: 'usual' or 'all'. What does not fit `minutes` is
    dropped, by name. `go` False plans alone. The study lies in `folder`/`name`, its runs in `runs`;
    `resume` goes on there, and then needs functions only. Raises InputError, StorageError,
    DoesNotFit, MissingPackage.
    """
    said = {
        "rows": rows,
        "checker": checker,
        "rubric": rubric,
        "system": system,
        "persona": persona,
        "tools": list(tools),
        "guards": guards,
        "max_tokens": max_tokens,
        "steps": steps,
    }
    where = Places(Path(folder), Path(runs))
    if resume:
        study = resumed(name, where, names or {}, said)
    else:
        setting = StudySetting(minutes, tuple(rungs), strengths, held_out, seed)
        study = planned(name, body_of(said), setting, where, names or {})
    on_plan(study.plan)
    if not go:
        return study.depth()
    begin(study)
    return study.run(on_rung)


def planned(
    name: str,
    body: DepthBody,
    setting: StudySetting,
    where: Places = HERE,
    names: Mapping[str, Any] | None = None,
) -> DepthStudy:
    """A new study with its plan; nothing is written. Raises InputError."""
    folder = _free_folder(name, where)
    if not setting.minutes > 0:
        raise InputError(f"minutes {setting.minutes:g}: give a number above 0")
    check_choice(setting.steps, setting.strengths)
    numbers = guard_numbers(body.guards)
    guards = guards_of(numbers, setting.seed)
    if body.persona:
        persona_named(body.persona)
    body, reading = task_parts(body, names or {})
    split = split_rows(reading.rows, setting.num_held, setting.seed)
    task = split_task(name, body, names or {}, split, reading.lines())
    current().ready().require_local()
    plan, rungs = plan_study(task, guards, setting, where.runs)
    _check_runs(name, plan.rungs, where.runs)
    study = DepthStudy(task, guards, plan, rungs, folder, where.runs)
    study.record = StudyRecord(
        name, plain_body(vars(body)), numbers, split, setting, plan, dict(_identity())
    )
    return study


def begin(study: DepthStudy) -> None:
    """Make a new study's folder; one that lies there goes on. Raises InputError, StorageError."""
    if study.record is not None:
        new_study(study.folder, study.record)


def resumed(
    name: str,
    where: Places = HERE,
    names: Mapping[str, Any] | None = None,
    said: Mapping[str, Any] | None = None,
) -> DepthStudy:
    """A study where it stands. Functions are the notebook's `names`, or those that are `said`.

    Raises InputError where none lies there, another model is loaded, or a function is missing.
    """
    folder = folder_of(name, where.studies)
    record = read_study(folder)
    current().ready().require_local()
    check_model(record.model, f"{folder}: begun")
    functions = _functions(record, names or {}, said or {})
    body, _ = task_parts(DepthBody(**{**record.body, "rows": ()}), functions, read=False)
    guards = guards_of(record.guards, record.setting.seed)
    check_same(record.plan.guards, guards.about)
    task = split_task(name, body, functions, record.split, ())
    rungs = [_candidate(rung, task, folder) for rung in record.plan.rungs]
    return DepthStudy(task, guards, record.plan, rungs, folder, where.runs)


def _candidate(rung: Rung, task: DepthTask, folder: Path) -> Candidate:
    """A rung of the plan as it is run. Raises InputError where it is still to do, and cannot be."""
    able, dropped = candidates(task)
    for one in able:
        if one.rung.key == rung.key:
            return replace(one, rung=rung)
    if kept_rung(folder, rung.key) is not None:
        return Candidate(rung)
    why = next((one.why for one in dropped if one.rung.key == rung.key), "this version has it not")
    raise InputError(
        f"{folder}: rung {rung.key} is still to be run, but {why}; begin another study"
    )


def _free_folder(name: str, where: Places) -> Path:
    """Where a new study is to lie. Raises InputError for a name that is taken, or too long."""
    folder = folder_of(name, where.studies)
    if folder.exists():
        raise InputError(f"{folder}: there is such a study; resume it, or give another name")
    if len(name) > MOST_NAME:
        raise InputError(
            f"name {name!r}: at most {MOST_NAME} letters, its runs' names go behind it; give a "
            "shorter one"
        )
    return folder


def _check_runs(name: str, rungs: Sequence[Rung], runs: Path) -> None:
    """Raise InputError for a run of another study that a rung's run would go on from."""
    for run in (runs / f"{name}-{rung.key}" for rung in rungs):
        if run.exists():
            raise InputError(
                f"{run}: there is such a run already; give the study another name, or delete it"
            )


def _functions(
    record: StudyRecord, names: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, Any]:
    """The notebook's names, and what is given under the names that the study knows."""
    known = dict(names)
    checker = said.get("checker", ANSWER)
    if callable(checker):
        known[record.body["checker"]] = checker
    known |= {getattr(tool, "__name__", ""): tool for tool in said.get("tools") or ()}
    return known


def check_model(model: Mapping[str, Any], what: str) -> None:
    """Raise InputError where the loaded model is not the one that a study was made on."""
    if model.get("weights") != _identity().get("weights"):
        raise InputError(
            f"{what} on {model.get('model')}, but {current().name} is loaded; load that one first"
        )


def _identity() -> Mapping[str, Any]:
    return current().require().identity
