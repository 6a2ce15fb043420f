"""A resident tiny model, a folder of one's own, and small studies in it."""

import pytest

import gptoss_magic
from gptoss_magic.session import current
from gptoss_magic.studies.depth import guards
from gptoss_magic.studies.depth.study import depth
from gptoss_magic.testing import tiny_checkpoint

SHORT = 16
ROWS = [{"prompt": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(12)]
SMALL = {"max_tokens": 64, "steps": 2, "strengths": "usual"}


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    current().unload()
    path = tiny_checkpoint(tmp_path_factory.mktemp("depth") / "tiny")
    gptoss_magic.load(str(path), context=2048)
    yield
    current().unload()


@pytest.fixture
def place(resident, tmp_path, monkeypatch):
    """A folder to work in; no adapter stays behind."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in list(current().shelf.held):
        current().shelf.detach(name)


@pytest.fixture
def short(monkeypatch):
    """A tiny model's answers to guards never end: a few tokens of them are as good as 256."""
    monkeypatch.setattr(guards, "TOKENS", SHORT)


@pytest.fixture
def study(place):
    """Runs a small study of the rows, but for what is said."""

    def run(rows=ROWS, **said):
        guards = said.pop("guards", {"form": 2, "general-text": 2})
        return depth(rows, **{**SMALL, "guards": guards, **said})

    return run
