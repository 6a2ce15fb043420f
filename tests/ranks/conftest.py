"""The tiny model in this process; ranks that a test leaves behind are ended."""

import pytest

import gptoss_magic
from gptoss_magic.testing import tiny_checkpoint
from tests.ranks.cases import kill_all
from tests.shell_cells import new_shell

CONTEXT = 16_384  # bytes: the tiny tokenizer has a token for each


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_checkpoint(
        tmp_path_factory.mktemp("tiny") / "tiny", max_position_embeddings=CONTEXT
    )


@pytest.fixture
def loaded(brief, tiny, tmp_path, monkeypatch):
    """A folder to work in, with the model loaded."""
    monkeypatch.chdir(tmp_path)
    gptoss_magic.load(tiny, context=CONTEXT, replace=True)
    yield tmp_path
    for run in (tmp_path / "runs").glob("*"):
        kill_all(run)
    gptoss_magic.unload()


@pytest.fixture
def shell(loaded):
    return new_shell()
