"""One Lab and one Notebook 7 for all tests of the extension, each with a kernel of its own."""

from contextlib import ExitStack
from functools import partial

import pytest

from gptoss_magic.testing import tiny_checkpoint
from tests.labextension.front import SETTINGS, Front, write
from tools import screenshots as tool

SETUP = "%load_ext gptoss_magic\n%gptoss load tiny --context 8192\nfrance = 'Paris'"
BUILT = "the extension is not built: make setup, with Node and npm"


def started(stack, running, folder, app):
    """(address, folder) of the one server of `app`."""
    if app not in running:
        root = folder / app
        root.mkdir()
        tiny_checkpoint(root / "tiny", max_position_embeddings=8192)
        write(root / "live.ipynb", SETUP)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("XDG_DATA_HOME", str(root / "data"))
            running[app] = stack.enter_context(tool.lab(root, app, **SETTINGS)), root
    return running[app]


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    if tool.chromium() is None:
        pytest.skip(tool.INSTALL)
    if not tool.EXTENSION.is_dir():
        pytest.skip(BUILT)
    with ExitStack() as stack:
        yield partial(started, stack, {}, tmp_path_factory.mktemp("front"))


@pytest.fixture(scope="module", params=["lab", "notebook"])
def front(request, servers):
    """The notebook in a page; its kernel has loaded the model, by now or by another module."""
    url, folder = servers(request.param)
    with tool.browser_page(1300, 1000) as page:
        made = Front(page, url, request.param, folder)
        made.open("live.ipynb")
        page.evaluate(tool.KERNEL_READY)
        made.run(0)
        made.wait(0)
        yield made
