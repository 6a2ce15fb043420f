"""Execute a notebook on the built-in model; print its prompts and answers and where they lie."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter


def main(source: Path, target: Path) -> None:
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", store_widget_state=False)
    client.shutdown_kernel = "immediate"  # it has nothing to keep; torch takes two seconds to end
    client.execute()
    target.mkdir(parents=True, exist_ok=True)
    executed, page = target / source.name, target / f"{source.stem}.html"
    nbformat.write(notebook, executed)
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0])
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith("%%gptoss"):
            show(cell)
    print(f"executed notebook: {executed}\nHTML: {page}")


def show(cell: nbformat.NotebookNode) -> None:
    line, _, prompt = cell.source.partition("\n")
    print(f"\n{line}\n> " + prompt.strip().replace("\n", "\n> "))
    for output in cell.outputs:
        text = output.get("data", {}).get("text/plain") or output.get("text", "")
        print("  " + text.strip().replace("\n", "\n  "))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
