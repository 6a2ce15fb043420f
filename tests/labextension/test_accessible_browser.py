"""Everyone can use the side panel and read an answer beside it: axe-core finds nothing."""

import pytest

from tests.widgets.test_accessible import check_accessible, check_narrow
from tools import screenshots as tool

PANEL, ANSWER = ".gptoss-lab-panel-side", ".jp-OutputArea-output"


@pytest.fixture
def asked(front):
    """The notebook in Lab, its panel shown, an answer below the last cell."""
    if front.app != "lab":
        pytest.skip("Notebook 7 has neither the themes nor other elements")
    front.show_panel()
    cell = front.add("%%gptoss -t 0 -m 20\nName a town")
    front.run(cell)
    front.wait(cell)
    front.panel.get_by_text("Name a town").first.wait_for()
    yield front.page
    front.page.set_viewport_size({"width": 1300, "height": 1000})
    tool.command(front.page, "apputils:change-theme", theme="JupyterLab Light")


@pytest.mark.parametrize("where", [PANEL, ANSWER], ids=["panel", "answer"])
def test_the_extension_is_accessible(asked, axe, where):
    check_accessible(asked, axe, where)
    if where == PANEL:  # beside it nothing of the notebook has room in a narrow window
        check_narrow(asked, axe, where)
