"""Killed at any moment: nothing is left behind, the newest checkpoint is whole, and one goes on."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest

from gptoss_magic.errors import LaunchError
from gptoss_magic.ranks.run import taken_over
from gptoss_magic.runs.prepare import resume
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.runs import read_run
from tests.ranks.cases import folder_of, left_behind, started, steps_written, until
from tests.warm import RANKS

GONE_S = 45.0
OWNER = """
import sys, time
from pathlib import Path
import gptoss_magic
from tests.ranks.cases import started
gptoss_magic.load(sys.argv[1], context=16384)
strategy, method = sys.argv[4:6]
started("owned", int(sys.argv[3]), folder=sys.argv[2], strategy=strategy, method=method)
print("begun", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _whole_pythons(monkeypatch, request):
    """A rank notices its launcher's death by itself: only where one is killed is it a fork."""
    if request.function is not test_a_killed_rank_ends_the_run_with_one_line:
        monkeypatch.delenv(RANKS, raising=False)


def victim(launched, who):
    """The process of a rank, by number, or of the launcher."""
    folder = launched.folder
    if who == "agent":
        return folder.launch().agent.pid
    return until(lambda: folder.states().get(who)).process.pid


def check_goes_on(folder, name):
    """On one process, from the newest checkpoint, two steps further."""
    again, control = resume(name, folder), Control()
    at = again.trainer.progress.step
    for metrics in again.steps(control):
        if metrics.step >= at + 2:
            control.stop()
    assert again.trainer.progress.step == at + 2
    return at


@pytest.mark.parametrize("who", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_rank_ends_the_run_with_one_line(loaded, who):
    launched = started("hit", 4000)
    until(lambda: steps_written(launched.folder) >= 3)
    os.kill(victim(launched, who), signal.SIGKILL)
    for _ in launched.steps(Control()):
        pass
    assert left_behind(launched.run.folder) == []
    with pytest.raises(LaunchError, match=rf"hit: rank {who} \(process \d+\) of 2 ended") as told:
        taken_over(launched)
    assert "--resume hit goes on" in str(told.value)
    assert "\n" not in str(told.value)
    assert read_run(loaded / "runs/hit").finish == "interrupt"
    at = check_goes_on(loaded / "runs", "hit")
    assert at >= (3 if who == 1 else 0)  # rank 0 keeps the state, now and then and at the end


def test_a_killed_launcher_leaves_no_rank_and_the_steps_are_kept(loaded):
    launched = started("led", 4000)
    until(lambda: steps_written(launched.folder) >= 3)
    os.kill(victim(launched, "agent"), signal.SIGKILL)
    for _ in launched.steps(Control()):
        pass
    assert left_behind(launched.run.folder) == []
    assert taken_over(launched).run.finish == "interrupt"
    assert check_goes_on(loaded / "runs", "led") >= 3


def test_ranks_end_with_their_owner(loaded, tiny):
    run = loaded / "runs/owned"
    command = [sys.executable, "-c", OWNER, str(tiny), str(loaded / "runs"), "4000", *BY[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_root()) as owner:
        assert owner.stdout.readline().strip() == "begun"
        until(lambda: steps_written(folder_of(run)) >= 2)
        owner.kill()
    until(lambda: not left_behind(run), GONE_S)
    assert read_run(run).finish == "interrupt"
    assert check_goes_on(loaded / "runs", "owned") >= 2


def with_root():
    from pathlib import Path

    import gptoss_magic

    return {**os.environ, "PYTHONPATH": str(Path(gptoss_magic.__file__).parents[1])}


BY = [("ddp", "experts"), ("ep", "experts"), ("fsdp", "full")]


def killed(launched, who):
    """A rank or the launcher; the launcher where the rank has not begun yet."""
    if who != "agent" and who not in launched.folder.states():
        who = "agent"
    os.kill(victim(launched, who), signal.SIGKILL)
    drained(launched)


def drained(launched):
    for _ in launched.steps(Control()):
        pass


def stopped_twice(launched):
    """■, and again while it waits for the step."""
    again = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    again.start()
    with suppress(KeyboardInterrupt):  # it came when all was over
        launched.interrupt()
        again.join()
    again.join()
    launched.abandon()


def refused_by_the_disk(launched):
    """No file of rank 0 can grow any more."""
    until(lambda: steps_written(launched.folder) >= 2)
    rank = psutil.Process(victim(launched, 0))
    rank.rlimit(psutil.RLIMIT_FSIZE, (64, 64))
    drained(launched)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_at_any_moment(loaded, tiny, seed):
    """A rank, the launcher, ■ twice, a full disk; by each strategy in turn."""
    draw = random.Random(seed)
    strategy, method = BY[seed % len(BY)]
    what = draw.choice([0, 1, "agent", stopped_twice, refused_by_the_disk])
    launched = started("any", 4000, strategy=strategy, method=method)
    time.sleep(draw.uniform(0, 12))
    began = time.monotonic()
    if callable(what):
        what(launched)
    else:
        killed(launched, what)
    assert left_behind(launched.run.folder) == []
    assert time.monotonic() - began < 2 * GONE_S
    check_goes_on(loaded / "runs", "any")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_kernel_at_any_moment(loaded, tiny, seed):
    draw, run = random.Random(seed), loaded / "runs/owned"
    command = [sys.executable, "-c", OWNER, str(tiny), str(loaded / "runs"), "4000", *BY[seed % 3]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_root()) as owner:
        assert owner.stdout.readline().strip() == "begun"
        time.sleep(draw.uniform(0, 12))
        owner.kill()
    until(lambda: not left_behind(run), 2 * GONE_S)
    check_goes_on(loaded / "runs", "owned")
