"""The panel and the status bar while a cell runs, after a reload in the middle, and Stop."""

import os
import signal

import pytest

LONG = "%%gptoss --new -t 0 -m 60000\nSpeak for long"
# a page that is loaded beside it has the processor
SLOWLY = """import time
from gptoss_magic.session import current
engine = current().engine
read = engine.prefill
def slowly(*given, **how):
    time.sleep(0.02)
    return read(*given, **how)
engine.prefill = slowly"""
AS_EVER = "del engine.prefill"


def doing(front, words):
    front.panel.get_by_role("status").get_by_text(words).wait_for(timeout=20_000)


def stop(front):
    front.panel.get_by_role("button", name="Stop").click()


def test_the_panel_follows_a_cell_while_it_runs_and_stops_it(front):
    front.show_panel()
    cell = front.add(LONG)
    front.run(cell)
    doing(front, "Running %%gptoss")
    if front.app == "lab":
        bar = front.page.locator("button.gptoss-lab-status")
        bar.filter(has_text="%%gptoss").wait_for()
        assert bar.inner_text().startswith("tiny · ")
    said = "cell => cell.querySelector('.jp-OutputArea').innerText.length > 80"
    front.page.wait_for_function(said, arg=front.cell(cell).element_handle())
    stop(front)
    doing(front, "Idle")
    front.wait(cell)
    assert "interrupted" in front.cell(cell).locator(".jp-OutputArea").inner_text()
    text = front.panel.inner_text()
    assert "tokens/s" in text
    assert "Speak for long" in text
    assert front.panel.get_by_role("button", name="Stop").is_disabled()


def run(front, source):
    """A new cell, to its end; its number."""
    cell = front.add(source)
    front.run(cell)
    front.wait(cell)
    return cell


@pytest.fixture
def slow(front):
    """The notebook, whose model says at most fifty tokens a second."""
    run(front, SLOWLY)
    yield front
    run(front, AS_EVER)


def test_a_page_that_is_loaded_while_a_cell_runs_finds_it_and_stops_it(slow):
    slow.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    cell = slow.add(LONG)
    slow.run(cell)
    slow.show_panel()
    doing(slow, "Running %%gptoss")
    slow.open("live.ipynb")
    slow.show_panel()
    doing(slow, "Running %%gptoss")
    stop(slow)
    doing(slow, "Idle")


def test_a_kernel_that_was_silent_when_the_page_came_is_found_later(front):
    if front.app != "lab":
        pytest.skip("what a page asks is the same in both")
    cell = run(front, "import os\nprint('pid', os.getpid())")
    pid = int(front.cell(cell).locator(".jp-OutputArea").inner_text().split("pid")[1])
    os.kill(pid, signal.SIGSTOP)
    try:
        front.open("live.ipynb")
        front.page.wait_for_timeout(8000)  # the page gives up after six seconds
    finally:
        os.kill(pid, signal.SIGCONT)
    front.show_panel()
    front.panel.get_by_text("tiny").wait_for(timeout=60_000)


def test_a_restart_ends_what_was_said_and_load_ext_says_it_anew(front):
    front.show_panel()
    front.page.evaluate(
        "async () => { await jupyterapp.shell.currentWidget.sessionContext.restartKernel() }"
    )
    front.panel.get_by_text("This notebook does not use gpt-oss").wait_for(timeout=30_000)
    front.run(0)
    front.panel.get_by_text("tiny").wait_for(timeout=60_000)
    front.wait(0)
