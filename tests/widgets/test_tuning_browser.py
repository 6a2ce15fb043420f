"""Stop, Pause and the slider act on a run that trains, in a real JupyterLab and Chromium."""

import json
from itertools import pairwise

import nbformat
import pytest

from gptoss_magic.testing import tiny_checkpoint
from tools import screenshots as tool

BOUND_S = 0.5
LOOP = """
import json, time
from pathlib import Path
import gptoss_magic
from gptoss_magic.runs.prepare import prepare
from gptoss_magic.runs.wanted import Wanted
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.methods import settings_of
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.sources import row_of
from gptoss_magic.widgets.tuning import TuningPanel

gptoss_magic.load("tiny")
rows = [row_of({"prompt": f"say {i}", "answer": f"aye {i}"}) for i in range(6)]
method = settings_of(rank=2, choice="all")
train = TrainSettings(2e-4, num_steps=3000, step_tokens=300)
tuning = prepare(Wanted(rows, "run", method, train))
tuning.begin()
control, log, facts = Control(), [], [("method", "experts")]
with TuningPanel(control, "A tiny run", tuning.trainer.num_steps, 2e-4, facts) as panel:
    for metrics in tuning.steps(control):
        log.append((time.time(), control.rate or 2e-4))
        panel.step(metrics)
    panel.finish("<p>What came after.</p>", "What came after.", {"gptoss": {"steps": len(log)}})
Path("log.json").write_text(json.dumps(log))
"""
# Times at which the shown step changed and at which the cell ended, by the machine's clock.
WATCH = """() => {
  window.seen = { steps: [], ended: null };
  const shown = document.querySelector(".gptoss-tuning .gptoss-n-step");
  const prompt = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].at(-1);
  const look = () => {
    const now = Date.now() / 1000;
    const text = shown.textContent;
    if (window.seen.steps.at(-1)?.text !== text) window.seen.steps.push({ text, now });
    if (!prompt.textContent.includes("*")) window.seen.ended ??= now;
    if (prompt.isConnected) setTimeout(look, 10);
  };
  look();
}"""
CLICK = """name => {
  document.querySelector(`.gptoss-tuning .gptoss-${name}`).click();
  return Date.now() / 1000;
}"""


@pytest.fixture
def lab(plain_lab):
    tiny_checkpoint(plain_lab.folder / "tiny")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(LOOP)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, plain_lab.folder / "loop.ipynb")
    return plain_lab


def press(page, name, key):
    """Use a control by the keyboard."""
    page.locator(f".gptoss-tuning .gptoss-{name}").focus()
    moment = page.evaluate("() => Date.now() / 1000")
    page.keyboard.press(key)
    return moment


def use_controls(page):
    """Pause, Resume, slide, Stop, a second apart; when each was done."""
    page.locator(".gptoss-tuning .gptoss-chart:visible").first.wait_for(timeout=60_000)
    page.evaluate(WATCH)
    page.wait_for_timeout(1000)
    times = {}
    for name, act in (
        ("pause", lambda: page.evaluate(CLICK, "pause")),
        ("resume", lambda: press(page, "pause", "Space")),
        ("rate", lambda: press(page, "rate", "End")),
        ("stop", lambda: page.evaluate(CLICK, "stop")),
    ):
        times[name] = act()
        page.wait_for_timeout(1200)
    return times, page.evaluate("() => window.seen")


def first_after(times, moment):
    return min(time for time in times if time > moment) - moment


def check_page(times, seen):
    """What the page showed: the counter stands while paused, goes on after, the cell ends."""
    changes = [step["now"] for step in seen["steps"]]
    while_paused = [t - times["pause"] for t in changes if times["pause"] < t < times["resume"]]
    assert max(while_paused, default=0.0) < BOUND_S
    assert first_after(changes, times["resume"]) < BOUND_S
    assert seen["ended"] - times["stop"] < BOUND_S


def check_loop(times, log):
    """What the loop saw: when its steps were, and at which rate."""
    began, gap = max(((a, b - a) for (a, _), (b, _) in pairwise(log)), key=lambda pair: pair[1])
    assert gap > 0.7
    assert began - times["pause"] < BOUND_S
    assert began + gap - times["resume"] < BOUND_S
    changed = [time for time, rate in log if rate != log[0][1]]
    assert 0 <= changed[0] - times["rate"] < BOUND_S
    assert log[-1][1] == pytest.approx(2e-4 * 10, rel=1e-3)
    assert log[-1][0] - times["stop"] < BOUND_S


def check_remains(page):
    """Curves and numbers can be seen, and nothing live is left."""
    curves = page.locator(".gptoss-curves img")
    curves.first.wait_for(timeout=20_000)
    assert curves.count() >= 5
    for image in curves.all():
        assert image.evaluate("node => node.naturalWidth") > 100
        assert "goes from" in image.get_attribute("alt")
    text = page.locator(".jp-NotebookPanel").inner_text()
    assert "Stopped after step" in text
    assert "held-out loss" in text
    assert "What came after." in text
    assert "model not found" not in text.lower()
    assert page.locator(".gptoss-tuning").count() == 0


def save(page, path):
    """Save, and wait until the file has the remains; its text."""
    for _ in range(30):
        tool.command(page, "docmanager:save")
        page.wait_for_timeout(300)
        text = path.read_text()
        if "gptoss-curves" in text:
            break
    return text


def test_controls_act_while_the_cell_runs_and_curves_stay(lab):
    page = lab.page
    lab.open("loop.ipynb")
    tool.start_all(page)
    times, seen = use_controls(page)
    tool.wait_all(page, 60)
    log = json.loads((lab.folder / "log.json").read_text())
    check_page(times, seen)
    check_loop(times, log)
    check_remains(page)
    saved = save(page, lab.folder / "loop.ipynb")
    assert "widget-view" not in saved
    assert next(
        output["metadata"]["gptoss"]["steps"]
        for output in json.loads(saved)["cells"][0]["outputs"]
        if "gptoss" in output.get("metadata", {})
    ) == len(log)
    lab.open_foreign("loop.ipynb")
    check_remains(page)
