"""Goals in a real JupyterLab: reopened without a kernel and without trust, in a narrow window."""

import nbformat
import pytest

from gptoss_magic.widgets.goals import board_html, board_text
from tests.widgets.test_goals_view import every_state


@pytest.fixture
def reopened(plain_lab):
    """Somebody else's notebook with the output of goals."""
    shown = {"text/html": board_html(every_state()), "text/plain": board_text(every_state())}
    cell = nbformat.v4.new_code_cell(
        "%%gptoss_goal отчёт", outputs=[nbformat.v4.new_output("display_data", data=shown)]
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), plain_lab.folder / "goals.ipynb")
    plain_lab.open_foreign("goals.ipynb")
    return plain_lab.page


def test_the_graph_reads_without_a_kernel_and_fits_a_narrow_window(reopened):
    page = reopened
    output = page.locator(".gptoss-goals")
    picture = output.locator("img")
    picture.wait_for(timeout=30_000)
    picture.evaluate("image => image.decode()")  # raises where it cannot be drawn
    assert output.locator("details").count() == 6
    output.locator("summary", has_text="найти числа").first.click()
    assert output.locator("pre", has_text="42").is_visible()
    page.set_viewport_size({"width": 420, "height": 900})
    frame, box = picture.bounding_box(), output.bounding_box()
    assert frame["x"] + frame["width"] <= box["x"] + box["width"] + 1
    assert output.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
