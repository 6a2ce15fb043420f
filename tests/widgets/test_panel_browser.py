"""The control panel in a real JupyterLab and Chromium: while a cell runs, and after its kernel."""

import json
import re

import nbformat
import pytest

from gptoss_magic.testing import tiny_checkpoint
from tools import screenshots as tool

SETUP = """
%load_ext gptoss_magic
%gptoss load tiny --context 65536
%config GptOssMagics.temperature = 0
%config GptOssMagics.max_tokens = 60000
"""
WRITE = """
import json, pathlib
made = [dict(a.provenance["sampling"], finish=a.finish, said=len(a.raw_tokens))
        for a in (first, second)]
pathlib.Path("made.json").write_text(json.dumps(made))
"""
CELLS = (
    SETUP,
    "%gptoss panel",
    "%%gptoss -o first\nHello",
    "%%gptoss -o second -m 4\nHello",
    WRITE,
)
RESTART = (
    "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.restartKernel() }"
)
CHOOSE = "i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i }"
WIDE = """() => {
  const panel = document.querySelector(".gptoss-panel");
  const { right } = panel.getBoundingClientRect();
  return [...panel.querySelectorAll("*")].filter(
    (node) => node.getBoundingClientRect().right > right + 1).length;
}"""


@pytest.fixture
def lab(plain_lab):
    tiny_checkpoint(plain_lab.folder / "tiny", max_position_embeddings=65536)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, plain_lab.folder / "panel.ipynb")
    return plain_lab


def panel(page):
    return page.get_by_role("region", name="gpt-oss control panel")


def use_while_it_runs(page):
    """Move a slider by the keyboard while the first answer streams, then stop it."""
    panel(page).wait_for(timeout=60_000)
    page.locator(".gptoss-live .gptoss-body").wait_for(timeout=30_000)
    panel(page).get_by_role("status").get_by_text("Running %%gptoss").wait_for(timeout=5000)
    panel(page).get_by_role("slider", name="Temperature, slider").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    panel(page).get_by_role("spinbutton", name="Seed").fill("7")
    page.wait_for_timeout(600)
    assert page.locator(".gptoss-live").count() == 1
    panel(page).get_by_role("button", name="Stop").click()
    tool.wait_all(page, 30)
    panel(page).get_by_role("status").get_by_text("Idle").wait_for(timeout=5000)


def check_made(folder):
    """The running answer kept its sampler and what it had said; the next had the moved one."""
    first, second = json.loads((folder / "made.json").read_text())
    assert first["finish"] == "interrupt"
    assert 0 < first["said"] < 60_000
    assert first["temperature"] == 0
    assert second["temperature"] == pytest.approx(1.95)
    assert second["seed"] == 7


def check_access(page):
    """Every control has a role and a name, is reached by Tab, and arrows move it."""
    tree = panel(page).aria_snapshot()
    for role, name in (
        ("slider", "Temperature, slider"),
        ("spinbutton", "Temperature"),
        ("slider", "Top-p, slider"),
        ("spinbutton", "Top-k"),
        ("spinbutton", "Max tokens"),
        ("group", "Reasoning effort"),
        ("combobox", "Persona"),
        ("combobox", "Retrieval"),
        ("switch", "Routing"),
        ("textbox", "System text"),
        ("button", "Stop"),
        ("textbox", "Name to save as"),
    ):
        assert re.search(rf'- {role} "{name}"', tree), f"{role} {name} is not in\n{tree}"
    panel(page).get_by_role("button", name="Stop").focus()
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("() => document.activeElement.closest('[data-name]')?.dataset.name")
        )
    assert {"temperature", "top_p", "top_k", "max_tokens", "seed", "effort"} <= set(seen)
    assert {"persona", "rag", "routing", "system"} <= set(seen)
    panel(page).get_by_role("radio", name="medium").focus()
    page.keyboard.press("ArrowRight")
    assert panel(page).get_by_role("radio", name="high").is_checked()


def check_wrong(page):
    """What makes no sense is marked, and the true value comes back."""
    field = panel(page).get_by_role("spinbutton", name="Max tokens")
    field.fill("-3")
    assert field.get_attribute("aria-invalid") == "true"
    page.keyboard.press("Tab")
    page.wait_for_timeout(200)
    assert field.input_value() == "60000"


def check_narrow(page):
    page.set_viewport_size({"width": 320, "height": 900})
    page.wait_for_timeout(400)
    assert page.evaluate(WIDE) == 0
    page.set_viewport_size({"width": 1200, "height": 900})


def keep_preset(page):
    panel(page).get_by_role("textbox", name="Name to save as").fill("warm")
    page.keyboard.press("Enter")
    panel(page).get_by_role("alert").get_by_text("Preset warm saved.").wait_for(timeout=5000)


def check_static(page):
    """A table of what was set, and nothing live, nor an error in its place."""
    page.locator(".gptoss-panel-static").wait_for(timeout=20_000)
    text = page.locator(".jp-NotebookPanel").inner_text()
    assert re.search(r"Temperature\s+1.95", text)
    assert re.search(r"Reasoning effort\s+high", text)
    assert "run the cell: %gptoss panel" in text
    assert "model not found" not in text.lower()
    assert panel(page).count() == 0


def use_after_restart(page):
    """A new kernel: the static panel, a live one once its cell has run, and the kept preset."""
    page.evaluate(RESTART)
    check_static(page)
    page.evaluate(CHOOSE, 0)
    for _ in range(2):
        tool.command(page, "notebook:run-cell-and-select-next")
    panel(page).wait_for(timeout=60_000)
    number = panel(page).get_by_role("spinbutton", name="Temperature")
    assert number.input_value() == "0"
    panel(page).get_by_role("combobox", name="Preset", exact=True).select_option("warm")
    panel(page).get_by_role("button", name="Load").click()
    panel(page).get_by_role("alert").get_by_text("Preset warm is in use.").wait_for(timeout=5000)
    assert number.input_value() == "1.95"
    assert panel(page).get_by_role("radio", name="high").is_checked()
    page.wait_for_timeout(1500)  # what the notebook keeps follows a second after


def test_the_panel_acts_while_a_cell_runs_and_survives_its_kernel(lab):
    page = lab.page
    lab.open("panel.ipynb")
    tool.start_all(page)
    use_while_it_runs(page)
    check_made(lab.folder)
    check_access(page)
    check_wrong(page)
    check_narrow(page)
    keep_preset(page)
    page.wait_for_timeout(1500)
    use_after_restart(page)
    tool.command(page, "docmanager:save")
    tool.command(page, "notebook:shutdown-kernel")
    lab.load_anew()
    lab.open("panel.ipynb", kernel=False)
    check_static(page)
    assert "widget-view" not in (lab.folder / "panel.ipynb").read_text()
