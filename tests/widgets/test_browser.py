"""A small notebook in a real JupyterLab and a real Chromium: live, finished, and reopened."""

import re

import nbformat
import pytest

from tools import screenshots as tool

PROMPT = "%%gptoss -t 0 -m 40\nWhat is the capital of France?"
# Texts that the live view showed, in order, and whether the cell was still busy (a cell's prompt
# is `[*]:` until its reply comes).
WATCH = """() => {
  window.seen = [];
  const prompt = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].at(-1);
  const look = () => {
    const live = document.querySelector(".gptoss-live .gptoss-body");
    const text = live ? live.textContent : "";
    const busy = prompt.textContent.includes("*");
    if (text && window.seen.at(-1)?.text !== text) window.seen.push({ text, busy });
    if (prompt.isConnected) setTimeout(look, 20);
  };
  look();
}"""


@pytest.fixture
def lab(plain_lab):
    setup = "%load_ext gptoss_magic\n%gptoss load built-in"
    maths = (
        "from IPython.display import display\n"
        "from gptoss_magic.widgets.static_html import markdown_html\n"
        "display({'text/html': markdown_html('Maths: $x^2$')}, raw=True)"
    )
    routing = "%gptoss routing 'Name a colour.' -m 4"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (setup, maths, routing, PROMPT)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, plain_lab.folder / "small.ipynb")
    return plain_lab


def finished(page):
    """What was seen of the stream, once every cell is done."""
    try:
        tool.wait_all(page, 150)
    except Exception as error:
        shown = page.locator(".jp-NotebookPanel").inner_text()
        raise AssertionError(f"not every cell came to its end:\n{shown}") from error
    return page.evaluate("() => window.seen")


def check_answer(page):
    """The answer can be read, its reasoning is there and folded, nothing is missing."""
    answer = page.locator(".gptoss-answer")
    answer.wait_for(timeout=10_000)
    assert answer.locator(".gptoss-final").inner_text().strip()
    assert answer.locator(".gptoss-final").is_visible()
    reasoning = answer.locator("details.gptoss-analysis")
    assert "Reasoning" in reasoning.locator("summary").inner_text()
    assert reasoning.locator("div").is_hidden()
    reasoning.locator("summary").click()
    assert reasoning.locator("div").is_visible()
    text = page.locator(".jp-NotebookPanel").inner_text()
    assert "model not found" not in text.lower()
    assert "tokens/s" in text


def check_map(page):
    """The heat map has its colours, and its numbers in the titles; the other maps unfold."""
    cells = page.locator(".gptoss-heat >> nth=0").locator("b[title]")
    assert cells.count() == 30 * 4
    titles = cells.evaluate_all("cells => cells.map(cell => cell.title)")
    assert all(re.match(r"\d+:\d [\d.]+% gate [\d.]+% REAP", t) for t in titles)
    colours = cells.evaluate_all("cells => cells.map(c => getComputedStyle(c).backgroundColor)")
    assert len(set(colours)) > 5
    sizes = cells.evaluate_all("cells => cells.map(c => c.getBoundingClientRect().width)")
    assert min(sizes) == pytest.approx(max(sizes), abs=0.1)
    assert page.locator(".gptoss-heat >> nth=1").is_hidden()
    page.locator(".gptoss-routing summary", has_text="map of each channel").click()
    assert page.locator(".gptoss-heat >> nth=1").is_visible()


def save(page, path):
    """Save, and wait until the file has the answer; its text."""
    for _ in range(30):
        tool.command(page, "docmanager:save")
        page.wait_for_timeout(500)
        text = path.read_text()
        if "gptoss-answer" in text:
            break
    return text


def test_answer_streams_and_stays(lab):
    page = lab.page
    lab.open("small.ipynb")
    page.evaluate(WATCH)
    tool.start_all(page)
    seen = finished(page)
    assert len({shown["text"] for shown in seen if shown["busy"]}) >= 3, seen
    assert page.locator(".gptoss-live").count() == 0
    check_answer(page)
    check_map(page)
    page.locator("mjx-container").first.wait_for(timeout=10_000)
    saved = save(page, lab.folder / "small.ipynb")
    assert "widget-view" not in saved
    lab.open_foreign("small.ipynb")
    bar = page.locator(".jp-NotebookPanel-toolbar", has_text="No Kernel")
    bar.wait_for(timeout=30_000)
    check_answer(page)
    check_map(page)
