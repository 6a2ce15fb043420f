"""One Lab and one Notebook 7 for all tests of the extension, each with a kernel of its own."""

from contextlib import ExitStack

import pytest

from gptoss_magic.testing import tiny_checkpoint
from tests.labextension.front import SETTINGS, Front, write
from tools import screenshots as tool

SETUP = "%load_ext gptoss_magic\n%gptoss load tiny --context 8192\nfrance = 'Paris'"
BUILT = "the extension is not built: make setup, with Node and npm"


def started(stack, folder, app):
    """(address, folder) of a server of `app`, which lives as long as `stack`."""
    root = folder / app
    root.mkdir()
    tiny_checkpoint(root / "tiny", max_position_embeddings=8192)
    write(root / "live.ipynb", SETUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("XDG_DATA_HOME", str(root / "data"))
        return stack.enter_context(tool.lab(root, app, extension=True, **SETTINGS)), root


@pytest.fixture(scope="module")
def fronts(tmp_path_factory):
    """The notebook in a page of `app`, one for all tests; its kernel has loaded the model."""
    if tool.chromium() is None:
        pytest.skip(tool.INSTALL)
    if not tool.EXTENSION.is_dir():
        pytest.skip(BUILT)
    shown, folder = {}, tmp_path_factory.mktemp("front")
    with ExitStack() as stack, tool.browser_page(1300, 1000) as first:

        def front(app):
            if app not in shown:
                url, root = started(stack, folder, app)
                page = first.context.new_page()
                shown[app] = Front(page, url, app, root)
                shown[app].open("live.ipynb")
                page.evaluate(tool.KERNEL_READY)
                shown[app].run(0)
                shown[app].wait(0)
            shown[app].page.bring_to_front()
            return shown[app]

        yield front


@pytest.fixture(params=["lab", "notebook"])
def front(request, fronts):
    return fronts(request.param)
