"""A study that is killed and gone on with comes to the same figures, number by number."""

import json
import signal
import subprocess
from dataclasses import replace

import pytest

import gptoss_magic
from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.scripted import scripted
from gptoss_magic.session import current
from gptoss_magic.studies.depth import guards
from gptoss_magic.studies.depth.body import body_of
from gptoss_magic.studies.depth.folder import depth_of
from gptoss_magic.studies.depth.plan import StudySetting
from gptoss_magic.studies.depth.study import begin, depth, planned
from gptoss_magic.testing import tiny_checkpoint
from tests.studies.depth.conftest import ROWS, SHORT
from tests.warm import python

STUDY = {
    "rungs": (2, 3, 7, 13),
    "strengths": "usual",
    "max_tokens": 8,
    "steps": 3,
    "guards": {"form": 2, "general-text": 2, "refusals": 2},
}
# A child that kills itself, as the kernel's end would, where a note of the progress comes.
CHILD = """
import json, os, signal, sys
import gptoss_magic
from gptoss_magic.studies.depth import guards, study as studies
from gptoss_magic.studies.depth.body import body_of
from gptoss_magic.studies.depth.plan import StudySetting

def progress(done, total, note):
    if (note, done) == (sys.argv[2], int(sys.argv[3])):
        os.kill(os.getpid(), signal.SIGKILL)

said = json.loads(sys.argv[4])
guards.TOKENS = said.pop("short")
gptoss_magic.load(sys.argv[1], context=2048)
setting = StudySetting(60.0, tuple(said.pop("rungs")), said.pop("strengths"))
study = studies.planned("depth", body_of(said), setting)
studies.begin(study)
study.run(progress=progress)
"""


@pytest.fixture(scope="module", autouse=True)
def _short():
    """The whole module's answers to guards: the whole study, the killed one, the resumed one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guards, "TOKENS", SHORT)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    current().unload()
    path = tiny_checkpoint(tmp_path_factory.mktemp("killed") / "tiny")
    gptoss_magic.load(str(path), context=2048)
    yield path
    current().unload()


@pytest.fixture(scope="module")
def whole(checkpoint, tmp_path_factory):
    """The study that nobody stops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        return depth(ROWS, **STUDY)


def untimed(found):
    """Without what a clock says."""
    plan = replace(found.plan, rungs=(), dropped=(), expected=0.0)
    results = [replace(r, seconds=0.0, rung=replace(r.rung, seconds=0.0)) for r in found.results]
    return plan, results


def killed(checkpoint, folder, note, done):
    said = json.dumps({"rows": ROWS, "short": SHORT, **STUDY})
    command = [python(), "-c", CHILD, str(checkpoint), note, str(done), said]
    child = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]


@pytest.mark.parametrize(
    ("note", "done", "num_left"),
    [("examples-4: answers", 3, 3), ("training depth-attention-r8", 2, 2), ("making both", 0, 1)],
)
def test_a_killed_study_goes_on_to_the_same_figures(
    note, done, num_left, checkpoint, whole, tmp_path, monkeypatch
):
    killed(checkpoint, tmp_path, note, done)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "gptoss_depth" / "depth"
    part, seen = depth_of(folder), []
    assert part.finish == "interrupt"
    assert len(part.results) == len(whole.results) - num_left
    found = depth(resume=True, on_rung=seen.append)
    assert untimed(found) == untimed(whole)
    assert [one.seconds for one in found.results[: len(part.results)]] == [
        one.seconds for one in part.results
    ]
    again = depth_of(folder)
    assert (again.plan, again.results) == (found.plan, found.results)
    assert (again.frontier, again.conclusions) == (found.frontier, found.conclusions)
    assert current().shelf.held == {}


def test_what_is_done_is_read_back_and_nothing_is_asked_again(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    depth(ROWS, **{**STUDY, "rungs": (3,)})
    with scripted(current()) as engine:
        again = depth(resume=True)
    assert engine.prompts == []
    assert [one.rung.key for one in again.results] == ["bare", "examples-4"]


def test_a_run_that_was_stopped_within_goes_on_from_its_checkpoint(whole, tmp_path, monkeypatch):
    def progress(done, total, note):
        if (note, done) == ("training depth-attention-r8", 2):
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    said = {**STUDY, "rows": ROWS}
    setting = StudySetting(60.0, said.pop("rungs"), said.pop("strengths"))
    study = planned("depth", body_of(said), setting)
    begin(study)
    assert study.run(progress=progress).finish == "interrupt"
    assert list((tmp_path / "gptoss_runs" / "depth-attention-r8").glob("checkpoint-*"))
    found = depth(resume=True)
    assert untimed(found) == untimed(whole)


@pytest.fixture
def done(checkpoint, tmp_path, monkeypatch):
    """A small study with a checker, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    said = {**STUDY, "rungs": (3,), "guards": {"form": 1}}
    depth(ROWS, checker=checker, **said)
    return tmp_path / "gptoss_depth" / "depth"


def checker(item, final):
    return final == item.expected


def test_a_checker_is_needed_again_by_its_name(done):
    with pytest.raises(InputError, match="there is no checker in the notebook"):
        depth(resume=True)
    by_name = depth(resume=True, names={"checker": checker})
    assert depth(resume=True, checker=checker).results == by_name.results


def test_a_study_of_another_model_is_refused(done):
    record = json.loads((done / "study.json").read_text("utf-8"))
    record["model"]["weights"] = "others"
    (done / "study.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(InputError, match="load that one first"):
        depth(resume=True, checker=checker)


def test_a_damaged_record_is_named(done):
    rung = done / "rungs" / "bare.json"
    rung.write_text(rung.read_text("utf-8")[:100], "utf-8")
    with pytest.raises(CheckpointError, match=r"bare\.json: damaged"):
        depth(resume=True, checker=checker)
    (done / "study.json").write_text("{}", "utf-8")
    with pytest.raises(CheckpointError, match=r"study\.json: damaged"):
        depth(resume=True, checker=checker)
