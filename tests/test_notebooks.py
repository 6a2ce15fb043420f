"""The shipped notebooks run, and what they leave behind can be read and repeated."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

import gptoss_magic

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def prompts(notebook):
    """(text, provenance) of each prompt cell."""
    for cell in notebook.cells:
        if cell.source.startswith("%%gptoss"):
            (output,) = cell.outputs
            yield output["data"]["text/plain"], output["metadata"]["gptoss_magic"]


def executed(name):
    """The shipped notebook, which has no outputs, after a run."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, store_widget_state=False).execute()
    return notebook


def test_the_quick_start_answers_sensibly_and_repeats():
    notebook = executed("quickstart.ipynb")
    answers = list(prompts(notebook))
    for (text, _), word in zip(answers, ("Paris", "please", "Monday", "Lisbon"), strict=True):
        assert word in text
    assert "widget-view" not in nbformat.writes(notebook)
    page = HTMLExporter().from_notebook_node(notebook)[0]
    assert "The capital of France is Paris." in page
    text, provenance = answers[0]
    gptoss_magic.load("built-in")
    again = gptoss_magic.generate(
        "What is the capital of France?", date="2025-08-05", **provenance["sampling"]
    )
    gptoss_magic.unload()
    assert again.provenance == provenance
    assert again.final in text


def test_a_map_fills_its_frame_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    notebook = executed("map.ipynb")
    first, second = (text for text, _ in prompts(notebook))
    assert "6 of 6 rows · 1 failed: see country_error" in first
    assert "7 of 7 rows · 5 of them from the journal" in second
    shown = notebook.cells[5].outputs[0]["data"]["text/plain"]
    for word in ("France", "Italy", "Spain", "UndefinedError"):
        assert word in shown
    kept, failed, oslo = notebook.cells[9].outputs[0]["data"]["text/plain"].split(", ")
    assert (kept, failed) == ("(5", "1")
    assert "Norway" in oslo
    assert "widget-view" not in nbformat.writes(notebook)
