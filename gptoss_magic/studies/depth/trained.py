"""Rungs that change weights: each is an ordinary tuning run, whose adapter stands beside the model.

The learned rows are all trained on: what is held out was taken away before. Rate, epochs and steps
are chosen as for any run, or by the body's `steps`, the same for every rung.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.runs.parts import stages
from gptoss_magic.runs.prepare import prepare, resume, settings_for
from gptoss_magic.runs.report import put_on_shelf
from gptoss_magic.runs.wanted import Wanted
from gptoss_magic.session import current
from gptoss_magic.tuning.checkpoints import latest_checkpoint
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.plan import require_fit
from gptoss_magic.tuning.runs import read_run

if TYPE_CHECKING:
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.studies.depth.task import DepthTask
    from gptoss_magic.tuning.settings import MethodSettings
    from gptoss_magic.turns.progress import Progress


@dataclass(frozen=True)
class TrainedRung:
    """A finished run, attached under its name. `numbers` it trained, `size` of its files in bytes.

    `seconds`: what it took, from rows to adapter.
    """

    run: str
    numbers: int
    size: int
    seconds: float


def wanted_for(
    task: DepthTask, name: str, method: MethodSettings, seed: int, folder: Path
) -> Wanted:
    """The run of a rung: on all learned rows; rows that are too long are cut."""
    given = {"held_out": 0.0, "seed": seed}
    if task.body.steps:
        given["num_steps"] = task.body.steps
    train = settings_for(method, len(task.train), **given)
    return Wanted(task.train, name, method, train, folder, truncate=True)


def train(wanted: Wanted, progress: Progress) -> TrainedRung:
    """Train, or go on where an earlier try stood, and attach. Raises DoesNotFit, InputError."""
    began, numbers = perf_counter(), 0
    for stage in _stages(wanted):
        tuning = _begun(stage)
        numbers = sum(weight.numel() for weight in tuning.trainer.weights)
        _run(tuning, progress)
        put_on_shelf(tuning, tuning.run.name, tuning.run.adapter)
    size = sum(file.stat().st_size for file in tuning.run.adapter.iterdir())
    return TrainedRung(tuning.run.name, numbers, size, perf_counter() - began)


def attach_again(run: str, folder: Path) -> None:
    """Attach a finished run's adapter where it is not; another one of its name is refused."""
    shelf, adapter = current().shelf, folder / run / "adapter"
    if run in shelf.held:
        if Path(shelf.held[run].adapter.path).resolve() != adapter.resolve():
            raise InputError(f"another adapter is called {run}: %gptoss lora detach {run} first")
        return
    shelf.attach(adapter, run)


def _stages(wanted: Wanted) -> list[Wanted]:
    """What is still to train. A second stage that was begun has its first one behind it."""
    every = stages(wanted)
    return every[-1:] if (wanted.folder / wanted.name).is_dir() else every


def _begun(wanted: Wanted) -> Tuning:
    """A new run; or the one that lies there, from its newest checkpoint."""
    folder = wanted.folder / wanted.name
    if folder.exists():
        if latest_checkpoint(folder) is not None:
            return resume(wanted.name, wanted.folder, watched=False)
        read_run(folder)  # it is a run, and nothing of it was trained yet
        shutil.rmtree(folder)
    tuning = prepare(wanted, watched=False)  # timed by the plan, measured by the study
    assert tuning.plan is not None  # only a resumed run has none
    require_fit(tuning.plan)
    tuning.begin()
    return tuning


def _run(tuning: Tuning, progress: Progress) -> None:
    """All steps that are left; an interrupt keeps those that are done."""
    control, num_steps = Control(), tuning.trainer.num_steps
    with current().training_by(tuning.run.name, control):
        steps = tuning.steps(control)
        try:
            for metrics in steps:
                progress(metrics.step, num_steps, f"training {tuning.run.name}")
        finally:
            steps.close()
