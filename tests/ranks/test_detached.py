"""A run that outlives its kernel and is found again by the next; one without a notebook."""

import json
import signal
import subprocess
import sys

import pytest
from jupyter_client.manager import start_new_kernel

from gptoss_magic.tuning.runs import read_run
from tests.ranks.cases import ROWS, folder_of, left_behind, steps_written, until
from tests.ranks.test_kills import with_root

CELL = """%load_ext gptoss_magic
%gptoss load {tiny} --context 16384"""
TUNE = """%%gptoss_tune {more} --go --runs runs --as far --steps 4000 -t 900 -r 2 --launch 2
{rows}"""
AFTER = """import gptoss_magic
%gptoss runs attach far --runs runs -o report
print("report of", report.name, gptoss_magic.__name__)"""


class Kernel:
    """A real kernel in a folder."""

    def __init__(self, folder):
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", cwd=str(folder), env=with_root()
        )

    def start(self, source):
        self.sent = self.client.execute(source)

    def end(self, timeout=180):
        """What the cell printed, and its error's line."""
        said = []
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != self.sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                said.append(content["text"])
            elif kind == "error":
                said.append(content["evalue"])
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(said)

    def run(self, source):
        self.start(source)
        return self.end()

    def kill(self):
        self.manager.signal_kernel(signal.SIGKILL)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def folder(tiny, tmp_path):
    yield tmp_path
    from tests.ranks.cases import kill_all

    kill_all(tmp_path / "runs/far")


def test_a_detached_run_is_found_again_after_a_kernel_s_death(tiny, folder):
    first = Kernel(folder)
    first.run(CELL.format(tiny=tiny))
    said = first.run(TUNE.format(more="--detach", rows=ROWS))
    assert "far runs by itself: %gptoss runs attach far follows it" in said
    run = folder / "runs/far"
    until(lambda: steps_written(folder_of(run)) >= 2)
    first.kill()
    before = steps_written(folder_of(run))
    until(lambda: steps_written(folder_of(run)) > before + 2)
    assert len(left_behind(run)) == 3
    first.close()
    second = Kernel(folder)
    second.run("%load_ext gptoss_magic")
    assert "stops after this step" in second.run("%gptoss runs stop far --runs runs")
    assert "report of far" in second.run(AFTER)
    second.close()
    assert left_behind(run) == []
    assert read_run(run).finish == "stopped"
    assert read_run(run).report["held_out"][1] is not None


def test_stop_of_the_cell_keeps_the_steps_and_ends_all(tiny, folder):
    kernel = Kernel(folder)
    kernel.run(CELL.format(tiny=tiny))
    kernel.start(TUNE.format(more="-q", rows=ROWS))
    run = folder / "runs/far"
    until(lambda: steps_written(folder_of(run)) >= 3)
    kernel.manager.interrupt_kernel()
    said = kernel.end()
    assert "interrupted: %gptoss_tune --resume far goes on from the last step" in said
    assert left_behind(run) == []
    assert read_run(run).finish == "interrupt"
    assert len(read_run(run).history()) >= 3
    kernel.close()


@pytest.mark.slow
def test_a_file_says_the_same_run_without_a_notebook(tiny, folder):
    (folder / "rows.jsonl").write_text(ROWS)
    settings = {"model": str(tiny), "data": "rows.jsonl", "name": "far", "folder": "runs"}
    settings |= {"rank": 2, "num_steps": 4, "step_tokens": 900, "launch": 2}
    (folder / "far.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "gptoss_magic", "tune", str(folder / "far.yaml")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=with_root(), timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "step 4 of 4" in done.stdout
    assert "2 processes" in done.stdout
    assert "held-out loss" in done.stdout
    assert read_run(folder / "runs/far").finish == "return"
    again = subprocess.run(
        [*command, "--resume"], capture_output=True, text=True, env=with_root(), check=False
    )
    assert again.returncode == 0, again.stderr
    (folder / "far.yaml").write_text(json.dumps(settings | {"lanuch": 2}))
    wrong = subprocess.run(command, capture_output=True, text=True, env=with_root(), check=False)
    assert wrong.returncode == 1
    assert "launch" in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1
