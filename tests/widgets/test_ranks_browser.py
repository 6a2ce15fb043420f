"""Two processes' live curves, Pause and Stop, in a real JupyterLab and Chromium."""

import json
import os

import nbformat
import pytest

from gptoss_magic.ranks.processes import with_words
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.runs import read_run
from tools import screenshots as tool

ROWS = "\n".join(
    json.dumps({"prompt": f"say {i}", "analysis": f"it is {i}", "answer": f"aye {i}"})
    for i in range(8)
)
CELLS = (
    "%load_ext gptoss_magic\n%gptoss load tiny --context 16384",
    "%%gptoss_tune --go --as two --steps 4000 --step-tokens 900 --eval-every 20 -r 2 --launch 2\n"
    + ROWS,
)
CHARTS = ("Loss by rank", "Tokens/s by rank", "Memory by rank", "Busiest expert by rank")


@pytest.fixture
def lab(plain_lab):
    tiny_checkpoint(plain_lab.folder / "tiny", max_position_embeddings=16384)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, plain_lab.folder / "two.ipynb")
    return plain_lab


def shown_step(page):
    return page.locator(".gptoss-tuning .gptoss-n-step").inner_text()


def click(page, name):
    page.locator(f".gptoss-tuning .gptoss-{name}").click()


def test_the_curves_of_two_ranks_are_live_and_pause_and_stop_reach_both(lab):
    page = lab.page
    lab.open("two.ipynb")
    tool.start_all(page)
    chart = page.locator(".gptoss-tuning .gptoss-chart:visible", has_text=CHARTS[0])
    chart.wait_for(timeout=120_000)
    for title in CHARTS:
        one = page.locator(".gptoss-tuning .gptoss-chart:visible", has_text=title)
        assert "rank 0" in one.inner_text()
        assert "rank 1" in one.inner_text()
    if "GPTOSS_PICTURES" in os.environ:
        page.wait_for_timeout(2000)
        place = f"{os.environ['GPTOSS_PICTURES']}/ranks.png"
        page.locator(".gptoss-tuning").screenshot(path=place)
    click(page, "pause")
    page.locator(".gptoss-tuning .gptoss-state", has_text="Paused").wait_for(timeout=10_000)
    page.wait_for_timeout(1000)
    held = shown_step(page)
    page.wait_for_timeout(1500)
    assert shown_step(page) == held
    click(page, "pause")
    page.wait_for_function(
        "held => document.querySelector('.gptoss-tuning .gptoss-n-step').textContent !== held",
        arg=held,
        timeout=20_000,
    )
    click(page, "stop")
    tool.wait_all(page, 120)
    text = page.locator(".jp-NotebookPanel").inner_text()
    assert "Stopped after step" in text
    assert "processes: 2 (ddp)" in text
    assert page.locator(".gptoss-curves img").count() >= 9
    run = lab.folder / "gptoss_runs/two"
    assert read_run(run).finish == "stopped"
    assert with_words("gptoss_magic.ranks.worker", str(run.resolve())) == []
