"""`python -m gptoss_magic tune RUN.yaml`: what a tune cell does, without a notebook.

The file has the cell's words as keys: data, model, name, method and its options, the settings of
the training, launch. Paths in it begin at its own folder.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.ranks.choice import chosen
from gptoss_magic.ranks.launch import check_launch, launch_of
from gptoss_magic.ranks.plan import require_room
from gptoss_magic.ranks.run import begun, taken_over, written
from gptoss_magic.ranks.strategies import AUTO
from gptoss_magic.session import current
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.methods import DEFAULT, options, settings_of
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.records import StepMetrics
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.runs.report import Report
    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.runs import Run

METHOD = tuple(option.name for option in options())
TRAIN = tuple(field.name for field in fields(TrainSettings))
RUN = ("replay", "own", "truncate")
OWN = ("data", "model", "name", "method", "folder", "launch", "strategy")
SAY_S = 5.0


@dataclass(frozen=True)
class RunFile:
    """What a run's file says. `launch` 0: in this process."""

    data: Path
    model: str | None
    name: str
    method: str
    folder: Path
    launch: int
    strategy: str
    settings: dict[str, Any]

    def some(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Those settings that are given."""
        return {name: self.settings[name] for name in names if name in self.settings}


def read_run_file(path: Path) -> RunFile:
    """The run that a YAML file means. Raises InputError."""
    import yaml

    from gptoss_magic.tuning.runs import checked_name

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); give the file that --launch wrote"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: no YAML ({str(error).splitlines()[0]}); write it anew by --launch"
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("data"), str):
        raise InputError(f"{path}: give keys and values, `data: rows.jsonl` among them")
    check_known(f"{path}: key", found, (*OWN, *METHOD, *TRAIN, *RUN))
    place = path.resolve().parent
    launch, strategy = found.get("launch") or 0, found.get("strategy") or AUTO
    if launch:
        check_launch(launch, strategy)
    return RunFile(
        place / found["data"],
        _model(found.get("model"), place),
        checked_name(str(found.get("name") or path.stem)),
        found.get("method") or DEFAULT,
        place / (found.get("folder") or "gptoss_runs"),
        launch,
        strategy,
        {name: value for name, value in found.items() if name not in OWN},
    )


def _model(given: str | None, place: Path) -> str | None:
    """A folder beside the file, or the name as it is."""
    if given is not None and (place / given).is_dir():
        return str(place / given)
    return given


def tune_file(path: Path, *, is_resumed: bool = False) -> None:
    """Train as the file says, or go on; the plan, the steps and the report are printed.

    Raises InputError, DoesNotFit, LaunchError, StorageError; KeyboardInterrupt keeps the steps.
    """
    from gptoss_magic.runs.parts import stages
    from gptoss_magic.turns.loading import load

    file = read_run_file(path)
    print(load(file.model), flush=True)
    if is_resumed:
        _say_report(_resumed(file))
        return
    for stage in stages(_wanted(file)):
        _say_report(_stage(stage, file))


def _wanted(file: RunFile) -> Wanted:
    from gptoss_magic.runs.prepare import settings_for
    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.tuning.sources import read

    method = settings_of(file.method, **file.some(METHOD))
    reading = read(str(file.data), "", {})
    for line in reading.lines():
        print(line)
    train = settings_for(method, len(reading.rows), **file.some(TRAIN))
    more = file.some(RUN) | {"reading": reading}
    return Wanted(reading.rows, file.name, method, train, file.folder, **more)


def _stage(wanted: Wanted, file: RunFile) -> Report:
    from gptoss_magic.runs.prepare import prepare
    from gptoss_magic.tuning.plan import require_fit

    tuning = prepare(wanted)
    assert tuning.plan is not None  # only a resumed run has none
    print(tuning.plan.table(), flush=True)
    if not file.launch:
        require_fit(tuning.plan)
        tuning.begin()
        return _here(tuning)
    launch = _launch(tuning.run, tuning.plan, file)
    tuning.begin()
    return _launched(written(tuning), launch)


def _resumed(file: RunFile) -> Report:
    from gptoss_magic.ranks.folder import RanksFolder
    from gptoss_magic.runs.parts import opened
    from gptoss_magic.runs.prepare import plan_again, resume

    run, _ = opened(file.folder / file.name)
    RanksFolder.of(run.folder).check_over()
    if not file.launch:
        return _here(resume(file.name, file.folder))
    return _launched(run, _launch(run, plan_again(run), file))


def _launch(run: Run, plan: TunePlan, file: RunFile) -> Launch:
    """How it is launched, said by its plan. Raises InputError, DoesNotFit."""
    resident, method = current().require_local(), run.method.name
    asked = launch_of(resident, method, file.launch, file.strategy, detached=False)
    choice = chosen(plan, asked, released=False)
    print("\n".join(choice.lines()), flush=True)
    require_room(choice.plan)
    return choice.launch


def _here(tuning: Tuning) -> Report:
    from gptoss_magic.runs.report import finish

    control = Control()
    with current().training_by(tuning.run.name, control):
        _say(tuning.steps(control))
        return finish(tuning)


def _launched(run: Run, launch: Launch) -> Report:
    from gptoss_magic.runs.report import finish

    launched = begun(run, launch)
    try:
        _say(launched.steps(Control()))
    except BaseException:
        launched.interrupt()
        raise
    tuning = taken_over(launched)
    if tuning.run.finish == "interrupt":
        raise KeyboardInterrupt
    return finish(tuning)


def _say(steps: Iterator[StepMetrics]) -> None:
    """A line now and then, and for the last step."""
    said = 0.0
    for last in steps:
        if time.monotonic() - said > SAY_S or last.step == last.num_steps:
            said = time.monotonic()
            words = [f"step {last.step} of {last.num_steps}", f"loss {last.loss:.4g}"]
            words += [f"{last.tokens_per_s:,.0f} tokens/s", f"{len(last.ranks) or 1} processes"]
            print(" · ".join(words), flush=True)


def _say_report(report: Report) -> None:
    from gptoss_magic.runs.report import lines, verdict

    print(report.attached)
    for name, before, after in lines(report):
        print(f"{name:<40}{before:>12}{after:>12}")
    print(verdict(report), flush=True)
