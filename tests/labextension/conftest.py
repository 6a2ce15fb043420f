"""One notebook in JupyterLab and one in Notebook 7 for all tests of the extension."""

from functools import partial

import pytest

from gptoss_magic.testing import tiny_checkpoint
from tests.labextension.front import Front, write
from tools import screenshots as tool

SETUP = "%load_ext gptoss_magic\n%gptoss load tiny --context 65536\nfrance = 'Paris'"
BUILT = "the extension is not built: make setup, with Node and npm"


def opened(browser, context, app):
    """The notebook in a page of `app`; its kernel has loaded the model."""
    folder = browser.folder()
    tiny_checkpoint(folder / "tiny", max_position_embeddings=65536)
    write(folder / "live.ipynb", SETUP)
    front = Front(context.new_page(), browser.serve(), app, folder)
    front.open("live.ipynb")
    front.page.evaluate(tool.KERNEL_READY)
    front.run(0)
    front.wait(0)
    return front


@pytest.fixture(params=["lab", "notebook"])
def front(request, browser):
    if not tool.EXTENSION.is_dir():
        pytest.skip(BUILT)
    size = {"width": 1300, "height": 1000}
    context = browser.keep("context", lambda: browser.start().new_context(viewport=size))
    front = browser.keep(request.param, partial(opened, browser, context, request.param))
    front.page.bring_to_front()
    return front
