"""Stop, Pause and the slider act on a running cell in a real JupyterLab and a real Chromium."""

import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

TOOL = Path(__file__).parents[1] / "tools" / "screenshots.py"
BOUND_S = 0.5
LOOP = """
import json, time
from pathlib import Path
from gptoss_magic.records import Drift, StepMetrics
from gptoss_magic.tuning.control import Control
from gptoss_magic.widgets.tuning import TuningPanel

control, log, count = Control(), [], 3000
with TuningPanel(control, "Loop of steps", count, 2e-4, [("method", "experts")]) as panel:
    for i in range(count):
        if not control.wait():
            break
        time.sleep(0.02)
        rate = control.rate or 2e-4
        log.append((time.time(), rate))
        measured = i % 10 == 0
        drift = Drift(2.5, 0.3 + i / 9000, i / 3000) if measured else None
        loss = 1 + 2 * 0.99**i
        held = loss + 0.1 if measured else None
        panel.step(StepMetrics(i + 1, count, loss, rate, 1.0, 5000.0, 10**9, held, drift))
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
    setTimeout(look, 10);
  };
  look();
}"""
CLICK = """name => {
  document.querySelector(`.gptoss-tuning .gptoss-${name}`).click();
  return Date.now() / 1000;
}"""


def load_tool():
    spec = importlib.util.spec_from_file_location("screenshots", TOOL)
    module = sys.modules["screenshots"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()
pytestmark = pytest.mark.skipif(tool.chromium() is None, reason=tool.INSTALL)


@pytest.fixture
def folder(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(LOOP)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, tmp_path / "loop.ipynb")
    return tmp_path


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
    assert curves.count() == 5
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


def test_controls_act_while_the_cell_runs_and_curves_stay(folder):
    with tool.browser_page() as page:
        with tool.lab(folder) as url:
            tool.open_notebook(page, url, "loop.ipynb")
            tool.start_all(page)
            times, seen = use_controls(page)
            tool.wait_all(page, 60)
            log = json.loads((folder / "log.json").read_text())
            check_page(times, seen)
            check_loop(times, log)
            check_remains(page)
            saved = save(page, folder / "loop.ipynb")
        assert "widget-view" not in saved
        assert json.loads(saved)["cells"][0]["outputs"][0]["metadata"]["gptoss"]["steps"] == len(
            log
        )
        with tool.lab(folder) as url:  # another server: not trusted there, and no kernel
            tool.open_notebook(page, url, "loop.ipynb", kernel=False)
            check_remains(page)
