"""Launched runs of the tiny model: prepared in this process, their ranks real processes."""

import json
import time
from dataclasses import fields
from pathlib import Path

import psutil

from gptoss_magic.ranks.folder import WORKER, RanksFolder
from gptoss_magic.ranks.launch import launch_of
from gptoss_magic.ranks.processes import with_words
from gptoss_magic.ranks.run import begun, written
from gptoss_magic.runs.prepare import prepare
from gptoss_magic.runs.wanted import Wanted
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.sources import read_rows

ROWS = "\n".join(
    json.dumps({"prompt": f"say {i}", "analysis": f"it is {i}", "answer": f"aye {i}"})
    for i in range(8)
)
TIMEOUT_S = 60.0


def prepared(name, num_steps=4, folder="runs", method="experts", **settings):
    """A run of the loaded model on eight rows, on the disk."""
    rows = read_rows(None, ROWS, {})
    train = TrainSettings(
        learning_rate=1e-3, num_steps=num_steps, step_tokens=900, eval_every=max(2, num_steps // 4)
    )
    has_rank = any(field.name == "rank" for field in fields(METHODS[method].settings))
    chosen = settings_of(method, **(({"rank": 2} if has_rank else {}) | settings))
    tuning = prepare(Wanted(rows, name, chosen, train, Path(folder)), watched=False)
    tuning.begin()
    return tuning


def started(name, num_steps=4, count=2, *, strategy="ddp", detached=False, **more):
    """The same with its ranks running."""
    run = written(prepared(name, num_steps, **more))
    launch = launch_of(
        current().require_local(), run.method.name, count, strategy, detached=detached
    )
    return begun(run, launch)


def until(condition, seconds=TIMEOUT_S):
    """Wait for it; what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to that in time")


def steps_written(folder):
    return folder.steps.read_text().count("\n") if folder.steps.is_file() else 0


def left_behind(run_folder):
    """Processes of a run that still are there, zombies apart."""
    return with_words(WORKER, str(Path(run_folder).resolve()))


def kill_all(run_folder):
    """For a test's end, however it ended."""
    for process in left_behind(run_folder):
        psutil.Process(process.pid).kill()


def folder_of(run_folder):
    return RanksFolder.of(Path(run_folder))
