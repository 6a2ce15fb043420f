"""The notebooks as pages: prose, code, and what a run of them showed.

    python -m tools.docs_site.tutorials

runs each notebook on the built-in model (about a quarter of an hour) and keeps it below
build/tutorials; the site shows those that are of the notebooks as they stand, the others without
outputs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
EXECUTED = ROOT / "build" / "tutorials"
ORDER = ("quickstart", "map", "retrieval", "persona_and_tools", "agent", "specialise", "depth")
WAIT_S = 900
UNRUN = (
    "!!! note\n    This page was built without running the notebook: `make tutorials` runs all of "
    "them on the built-in model, and the next `make docs` shows their outputs.\n"
)


def names() -> list[str]:
    """The notebooks there are, those of `ORDER` first."""
    found = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    return [*(name for name in ORDER if name in found), *(n for n in found if n not in ORDER)]


def kept(name: str) -> Path:
    """Where a run of the notebook lies: other cells have another name."""
    digest = hashlib.sha256((NOTEBOOKS / f"{name}.ipynb").read_bytes()).hexdigest()[:12]
    return EXECUTED / f"{name}-{digest}.ipynb"


def tutorial_pages() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """({address: Markdown}, {address: {place's id: HTML of an output}})."""
    pages, outputs = {}, {}
    for name in names():
        uri = f"tutorials/{name}.md"
        pages[uri], outputs[uri] = tutorial(name)
    return pages, outputs


def tutorial(name: str) -> tuple[str, dict[str, str]]:
    """One notebook: Markdown with empty places, and the HTML that belongs into each."""
    is_run = kept(name).is_file()
    source = kept(name) if is_run else NOTEBOOKS / f"{name}.ipynb"
    parts: list[str] = []
    places: dict[str, str] = {}
    for number, cell in enumerate(json.loads(source.read_text("utf-8"))["cells"]):
        text = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```{language(text)}\n{text}\n```")
        if html := outputs_html(cell.get("outputs", ())):
            place = f"output-{name}-{number}"
            places[place] = html
            parts.append(f'<div id="{place}"></div>')
    parts.insert(1, f"The notebook is `notebooks/{name}.ipynb` of the repository.")
    if not is_run:
        parts.insert(2, UNRUN)
    return "\n\n".join(parts) + "\n", places


def language(text: str) -> str:
    """The block's language: a cell of a magic is prose or YAML, not Python."""
    first = text.partition("\n")[0]
    if first.startswith(("%%gptoss_tune", "%%gptoss_depth")):
        return "yaml"
    return "text" if first.startswith(("%%", "%gptoss")) else "python"


def outputs_html(outputs: Any) -> str:
    """What a cell showed, as it stands in the notebook for who has no kernel."""
    shown = [output_html(output) for output in outputs]
    return "\n".join(f'<div class="cell-output">{html}</div>' for html in shown if html)


def output_html(output: Mapping[str, Any]) -> str:
    """One output in its best form: HTML, a picture, or text."""
    if output["output_type"] == "stream":
        return f"<pre>{escape(''.join(output['text']))}</pre>"
    if output["output_type"] == "error":
        return f"<pre>{escape(output['ename'])}: {escape(output['evalue'])}</pre>"
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    if "image/png" in data:
        picture = "".join(data["image/png"]).strip()
        return f'<img alt="" src="data:image/png;base64,{picture}">'
    text = "".join(data.get("text/plain", ""))
    return f"<pre>{escape(text)}</pre>" if text else ""


def execute(name: str) -> Path:
    """Run a notebook in a folder of its own, and keep it. Raises nbclient's CellExecutionError."""
    from tempfile import TemporaryDirectory

    import nbformat
    from nbclient import NotebookClient
    from nbclient.util import run_sync

    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = NotebookClient(
            notebook,
            timeout=WAIT_S,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        with client.setup_kernel():
            for number, cell in enumerate(notebook.cells):
                if "restart" in cell.metadata.get("tags", ()):
                    run_sync(client.km.restart_kernel)(now=True)
                    run_sync(client.kc.wait_for_ready)(timeout=60)
                client.execute_cell(cell, number)
        text = nbformat.writes(notebook).replace(folder, "~")
    EXECUTED.mkdir(parents=True, exist_ok=True)
    for old in EXECUTED.glob(f"{name}-*.ipynb"):
        old.unlink()
    kept(name).write_text(text, encoding="utf-8")
    return kept(name)


def main() -> int:
    """Run what was not run as it stands."""
    import os
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(ignore_cleanup_errors=True) as data:
        os.environ["XDG_DATA_HOME"] = data  # no memory or journal of the user's
        for name in names():
            path = kept(name)
            print(name, "is run already" if path.is_file() else f"-> {execute(name)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
