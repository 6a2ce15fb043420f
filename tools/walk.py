"""Walk through every magic once in a real JupyterLab and Chromium, and take a picture of each cell.

    python -m tools.walk build/walk
    python -m tools.walk build/walk --only tune,search

Writes NN-NAME.png, NN-NAME-dark.png and NN-NAME.txt (what a reader sees) for each cell, to be
looked at; NN-NAME-asks.png where a cell asks something, which is answered with yes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

from tools import screenshots as tool

START = "%load_ext gptoss_magic"
MODEL = "%gptoss load built-in"
FILES = '''\
from pathlib import Path
town = Path("town"); town.mkdir(exist_ok=True)
(town / "museum.md").write_text("# Harbour museum\\n\\nThe harbour museum was opened in 1902.\\n"
                                "It is open every day except Mondays.\\nA ticket costs 7 euros.\\n")
(town / "tower.md").write_text("# Water tower\\n\\nThe water tower is 61 metres tall.\\n")
rows = [{"prompt": f"What is {n} plus 1?", "answer": f"Ahoy! {n + 1}, matey."} for n in range(12)]
items = [{"prompt": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(2)]
def get_time(city: str) -> str:
    "Get the current time in a city."
    return "It is 12:00 there."'''
GOALS = """\
%%gptoss_goal trip -t 0 -e low -m 60
goals:
  city: {text: Name the capital of Norway., test: "'Oslo' in answer"}
  sure: {text: 'Is it a port? Say yes or no.', test: tick, after: city}"""
CELLS = {  # a name, and what is typed; one name may stand for several cells
    "start": [START, FILES, MODEL],
    "help": [
        "%gptoss",
        "%%gptoss --help",
        "%gptoss lora compare -h",
        "%gptoss lora?",
        "%gptoss help tuning",
        "%gptoss help tunning",
        "%gptoss examples",
    ],
    "prompt": [
        "%%gptoss -e low -m 60 -s 1\nWhat is the capital of France?",
        "%%gptoss",
        "%%gptoss --tempurature 1\nHello",
        "%%gptoss --adapter nosuch\nHello",
        "%%gptoss --mask-experts 99:1\nHello",
        "%%gptoss -m 999999\nHello",
        "%%gptoss -S nothing\nHello",
        "%%gptoss --rag nothing\nHello",
    ],
    "status": ["%gptoss status", "%gptoss traceback"],
    "tokens": ["%gptoss tokens", "%gptoss branch 5 -m 20", "%gptoss turns"],
    "edit": ["%%gptoss --edit -m 20\nThe user wants one word. Paris."],
    "reflect": ["%gptoss reflect --keep"],
    "compare": ["%gptoss compare What is 4+9? -e low -t 0 -m 30 -P none"],
    "persona": [
        '%%gptoss_persona sailor\n---\neffort: low\n---\nBegin each answer with "Ahoy!"',
        "%gptoss persona list",
        "%gptoss persona show sailor",
        "%%gptoss --persona sailor -m 40 -t 0\nWhat is the capital of Austria?",
        "%gptoss persona sing",
    ],
    "tools": [
        "%gptoss tools",
        "%%gptoss --new -e low --tool get_time --no-run -t 0\nWhat time is it in Lisbon?",
        "%gptoss tools allow get_time",
        "%%gptoss --new -e low --tool get_time -m 80 -t 0\nWhat time is it in Lisbon?",
    ],
    "index": [
        "%gptoss index town --as ./indexes/town",
        "%gptoss index list",
        "%gptoss search ./indexes/town When was the harbour museum opened?",
        "%%gptoss --rag ./indexes/town -K 2 -e low -m 60 --new\nWhen was the museum opened?",
    ],
    "arabic": [
        "%%gptoss --new -e low -m 40 -t 0\nما هي عاصمة فرنسا؟",
        "Path('town/tower.md').write_text('يبلغ ارتفاع برج الماء 61 مترًا.\\n')",
        "%gptoss index town --as ./indexes/town",
        "%gptoss search ./indexes/town كم ارتفاع البرج؟",
    ],
    "memory": [
        "%gptoss memory on --as walk",
        "%gptoss memory note The samples of May are cold.",
        "%gptoss memory recall Which samples are cold?",
        "%gptoss memory list",
        "%gptoss memory off",
    ],
    "tune": [
        "%gptoss_tune rows --as walked --steps 4 --step-tokens 128 --show 0",
        "%gptoss_tune rows --as walked --steps 4 --step-tokens 128 --go",
        "%gptoss runs",
        "%gptoss_tune --like 120b",
    ],
    "lora": [
        "%gptoss lora list",
        "%gptoss lora compare What is 4+9? -m 20",
        "%gptoss lora use none",
        "%gptoss lora",
    ],
    "routing": ["%gptoss routing 'Name a colour.' -m 8"],
    "map": [
        "import pandas as pd\ncities = pd.DataFrame({'city': ['Paris', 'Rome']})",
        "%%gptoss --map cities --into country -e low -m 40 -n\nWhere is {{ city }}?",
    ],
    "data": ["%%gptoss_data --rows 2 --seeds rows -o grown\nSums of small numbers."],
    "goal": [
        GOALS,
        "%gptoss goal list",
        "%gptoss goal show trip",
        "%gptoss goal tick trip sure",
        "%gptoss goal rows trip rows.jsonl",
        "%%gptoss_goal trip\ngoals:\n  city: {text: Name a city.}",
    ],
    "evaluate": ["%gptoss evaluate", "%gptoss evaluate -d items -a base,effort:low -m 60 -t 0"],
    "depth": ["%%gptoss_depth walk --rungs 1,3 --minutes 5\nrows: rows", "%gptoss depth list"],
    "recipe": ["%gptoss recipe --card 24 --like 20b"],
    "panel": ["%gptoss panel", "%gptoss panel --list"],
    "serve": ["%gptoss serve --background", "%gptoss serve log", "%gptoss serve stop"],
    "connect": ["%gptoss connect http://127.0.0.1:9"],
    "share": [
        "%gptoss page walk.ipynb",
        "%gptoss share walk.zip --yes",
        "%gptoss open walk.zip --check",
        "%gptoss replay walk.ipynb --cell 11",
    ],
    "bench": ["%gptoss bench"],
    "unload": ["%gptoss unload"],
}
RUN = """async (index) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = index;
  content.deselectAll();
  void window.jupyterapp.commands.execute("notebook:run-cell");
}"""
LONGEST_S = 300


def notebook(folder: Path, names: list[str]) -> list[tuple[str, str]]:
    """walk.ipynb in `folder`; the name and the source of each of its cells."""
    import nbformat

    cells = [(name, source) for name in names for source in CELLS[name]]
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for _, source in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(made, folder / "walk.ipynb")
    return cells


def walk(page: Page, cells: list[tuple[str, str]], out: Path) -> None:
    """Run cell by cell; a picture and the words of each."""
    for index, (name, source) in enumerate(cells):
        shown = page.locator(".jp-NotebookPanel .jp-CodeCell").nth(index)
        place = out / f"{index:02}-{name}.png"
        page.evaluate(RUN, index)
        wait(page, shown, place.with_stem(f"{place.stem}-asks"))
        tool.command(page, "docmanager:save")
        shown.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        shown.screenshot(path=place)
        place.with_suffix(".txt").write_text(shown.inner_text())
        print(place.name, source.split("\n")[0], flush=True)


def wait(page: Page, shown: Locator, asks: Path) -> None:
    """Until the cell has run; a picture of what it asks."""
    for _ in range(LONGEST_S):
        page.wait_for_timeout(1000)
        asked = shown.locator("input.jp-Stdin-input")
        if asked.count():
            shown.scroll_into_view_if_needed()
            shown.screenshot(path=asks)
            asked.fill("y")
            asked.press("Enter")
        elif "*" not in shown.locator(".jp-InputPrompt").inner_text():
            return
    raise TimeoutError(f"{asks.stem}: the cell still runs")


def darkened(page: Page, cells: list[tuple[str, str]], out: Path) -> None:
    """A picture of each cell in the dark theme."""
    tool.command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    for index, (name, _) in enumerate(cells):
        shown = page.locator(".jp-NotebookPanel .jp-CodeCell").nth(index)
        shown.scroll_into_view_if_needed()
        shown.screenshot(path=out / f"{index:02}-{name}-dark.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="names of cells, with commas; start always")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--extension", action="store_true", help="Lab with ours, as it is built")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    asked = options.only.split(",") if options.only else [*CELLS]
    names = [name for name in CELLS if name == "start" or name in asked]
    with tempfile.TemporaryDirectory() as name, tool.browser_page(options.width) as page:
        cells = notebook(Path(name), names)
        for own in (
            "XDG_DATA_HOME",
            "XDG_CONFIG_HOME",
        ):  # nothing of the walk stays on this machine
            os.environ[own] = str(Path(name) / own)
        page.set_default_timeout(300_000)
        with tool.lab(Path(name), extension=options.extension) as url:
            tool.open_notebook(page, url, "walk.ipynb")
            walk(page, cells, options.out)
            darkened(page, cells, options.out)


if __name__ == "__main__":
    main()
