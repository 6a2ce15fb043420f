"""A depth study's output in a real JupyterLab, without a kernel and without trust."""

import nbformat
import pytest

from gptoss_magic.studies.depth.report import concluded
from gptoss_magic.widgets.depth import depth_html, depth_text
from tests.depth_cases import study


@pytest.fixture
def reopened(plain_lab):
    """Somebody else's notebook with a study's output."""
    depth = concluded(study())
    shown = {"text/html": depth_html(depth), "text/plain": depth_text(depth)}
    cell = nbformat.v4.new_code_cell(
        "%gptoss depth style", outputs=[nbformat.v4.new_output("display_data", data=shown)]
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), plain_lab.folder / "deep.ipynb")
    plain_lab.open_foreign("deep.ipynb")
    return plain_lab.page


def test_the_picture_reads_without_a_kernel_and_its_marks_have_their_numbers(reopened):
    page = reopened
    picture = page.locator(".gptoss-depth img")
    picture.wait_for(timeout=30_000)
    picture.evaluate("image => image.decode()")  # raises where it cannot be drawn
    frame = picture.bounding_box()
    spots = page.locator(".gptoss-depth span[title]")
    assert spots.count() == 25
    for spot in spots.all():
        box = spot.bounding_box()
        assert frame["x"] <= box["x"] + 8 <= frame["x"] + frame["width"]
        assert frame["y"] <= box["y"] + 8 <= frame["y"] + frame["height"]
    hot = page.locator('.gptoss-depth span[title^="hot-r8:"]')
    hot.hover()
    assert "gain +69 [57, 77] points" in hot.get_attribute("title")


def test_a_narrow_window_scrolls_the_picture_and_the_table_and_not_the_page(reopened):
    reopened.set_viewport_size({"width": 420, "height": 800})
    output = reopened.locator(".gptoss-depth")
    output.wait_for(timeout=30_000)
    for inner in ("img", "table"):
        wide = output.locator(inner).first
        around = wide.evaluate("node => node.closest('div[style*=overflow]').clientWidth")
        assert around <= output.evaluate("node => node.clientWidth")
