"""A tiny model, and a scripted one in its place."""

import pytest

import gptoss_magic
from gptoss_magic.scripted import scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from tests.serving.script import answering


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neighbours") / "tiny"
    gptoss_magic.load(tiny_checkpoint(folder, max_position_embeddings=4096), context=4096)
    yield
    gptoss_magic.unload()


@pytest.fixture
def script(resident):
    with scripted(current(), always=answering) as engine:
        yield engine
