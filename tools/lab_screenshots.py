"""Pictures of the JupyterLab extension: cells, an answer with its tokens, the side panel.

    python -m tools.lab_screenshots docs

Writes lab-light.png and lab-dark.png; with --all also lab-narrow.png and lab-notebook.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from tools import screenshots as tool

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOAD = """\
%load_ext gptoss_magic
%gptoss load built-in
country = "France"
"""
PERSONA = """\
%%gptoss_persona guide
---
effort: low
---
You're a *friendly* guide. Say where it's from."""
PROMPT = """\
%%gptoss --persona guide --temperature 0 -o answer
It's for a quiz (the first {round}): what is the **capital** of {{ country }}?"""
TUNE = """\
%%gptoss_tune --as verse --method lora
# a plan first
- prompt: What's the capital of Italy?
  answer: It's Rome."""
CELLS = (LOAD, PERSONA, PROMPT, TUNE)
OPEN = "() => document.querySelectorAll('.gptoss-lab-fold').forEach(n => { n.open = true })"


def shown(page: Page, app: str, url: str) -> None:
    """The notebook with its prompt answered, the answer unfolded, the panel open."""
    where = "lab/tree" if app == "lab" else "notebooks"
    tool.open_app(page, f"{url}/{where}/lab.ipynb?token={tool.TOKEN}")
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=60_000)
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.evaluate(tool.KERNEL_READY)
    for index in range(len(CELLS) - 1):
        page.evaluate(
            "i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i }", index
        )
        tool.command(page, "notebook:run-cell")
    page.locator(".gptoss-lab-answer").wait_for(timeout=120_000)
    tool.command(page, "gptoss:show-panel")
    page.evaluate(OPEN)
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.mode = 'command' }")
    page.locator(".gptoss-lab-answer").scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    page.wait_for_timeout(800)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--all", action="store_true", help="also narrow, and Notebook 7")
    options = parser.parse_args()
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    with tempfile.TemporaryDirectory() as name, tool.browser_page(1280, 940) as page:
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=spec), f"{name}/lab.ipynb")
        with tool.lab(Path(name)) as url:
            shown(page, "lab", url)
            tool.take(page, options.out / "lab-light.png")
            tool.command(page, "apputils:change-theme", theme="JupyterLab Dark")
            page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
            page.wait_for_timeout(600)
            tool.take(page, options.out / "lab-dark.png")
            if options.all:
                page.set_viewport_size({"width": 620, "height": 900})
                page.wait_for_timeout(600)
                tool.take(page, options.out / "lab-narrow.png")
        if options.all:
            page.set_viewport_size({"width": 1280, "height": 940})
            with tool.lab(Path(name), "notebook") as url:
                shown(page, "notebook", url)
                tool.take(page, options.out / "lab-notebook.png")


if __name__ == "__main__":
    main()
