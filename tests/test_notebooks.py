"""The shipped notebooks run, and what they leave behind can be read and repeated."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

import gptoss_magic

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"


def prompts(notebook):
    """(text, provenance) of each prompt cell."""
    for cell in notebook.cells:
        if cell.source.startswith("%%gptoss"):
            (output,) = cell.outputs
            yield output["data"]["text/plain"], output["metadata"]["gptoss_magic"]


def test_the_quick_start_answers_sensibly_and_repeats():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, store_widget_state=False).execute()
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
