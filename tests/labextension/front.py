"""A notebook in front of a real JupyterLab or Notebook 7, and what the tests do with it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from tools import screenshots as tool

CURRENT = "window.jupyterapp.shell.currentWidget"
ADD = f"""source => {{
  const cells = {CURRENT}.content;
  const index = cells.model.cells.length;
  cells.model.sharedModel.insertCell(index, {{ cell_type: 'code', source, metadata: {{}} }});
  cells.activeCellIndex = index;
  return index;
}}"""
MODEL = f"index => {CURRENT}.content.model.cells.get(index).sharedModel.getSource()"
SAVED = f"""index => {{
  const cell = {CURRENT}.content.model.cells.get(index);
  return [cell.mimeType, JSON.stringify(cell.sharedModel.getMetadata())];
}}"""
CURSOR = f"""([index, line, column]) => {{
  const cells = {CURRENT}.content;
  cells.activeCellIndex = index;
  cells.mode = 'edit';
  const editor = cells.widgets[index].editor;
  editor.focus();
  editor.setCursorPosition({{ line, column: column < 0 ? editor.getLine(line).length : column }});
}}"""
RUN = """() => {
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""
# the colour of the first character of a text within an editor
COLOUR = """([editor, text]) => {
  const walk = document.createTreeWalker(editor, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.data.includes(text)) return getComputedStyle(node.parentElement).color;
  }
}"""


def write(path: Path, *cells: Any, kernel: str = "python3") -> None:
    """A notebook of code cells: sources, or (source, outputs)."""
    made = []
    for cell in cells:
        source, outputs = (cell, []) if isinstance(cell, str) else cell
        made.append(nbformat.v4.new_code_cell(source, outputs=outputs))
    spec = {"kernelspec": {"name": kernel, "display_name": kernel}}
    path.write_text(json.dumps(nbformat.v4.new_notebook(cells=made, metadata=spec)))


@dataclass
class Front:
    """A page with the notebook `live.ipynb`, whose kernel holds the tiny model."""

    page: Any
    url: str
    app: str
    folder: Path

    def open(self, name, page=None):
        """Show a notebook, in this page or another one. Each notebook has a workspace."""
        page = page or self.page
        workspace = name.partition(".")[0].replace("'", "").replace(" ", "-")
        where = f"lab/workspaces/{workspace}/tree" if self.app == "lab" else "notebooks"
        address = f"{self.url}/{where}/{self.folder.name}/{name}"
        tool.open_app(page, f"{address}?token={tool.TOKEN}")
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=60_000)
        return page

    def add(self, source):
        """A new last cell; its number."""
        return self.page.evaluate(ADD, source)

    def cell(self, index):
        return self.page.locator(".jp-NotebookPanel .jp-Cell").nth(index)

    def editor(self, index):
        return self.cell(index).locator(".cm-editor")

    def source(self, index):
        return self.page.evaluate(MODEL, index)

    def cursor(self, index, line, column=-1):
        """Set it; -1 is the line's end."""
        self.cell(index).scroll_into_view_if_needed()
        self.page.evaluate(CURSOR, [index, line, column])

    def colour(self, index, text):
        return self.page.evaluate(COLOUR, [self.editor(index).element_handle(), text])

    def run(self, index):
        """Start a cell; comes back at once."""
        self.page.evaluate(CURSOR, [index, 0, 0])
        self.page.evaluate(RUN)

    def wait(self, index):
        """Until it has run."""
        prompt = self.cell(index).locator(".jp-InputPrompt")
        prompt.filter(has_text=re.compile(r"\[\d+\]")).wait_for(timeout=60_000)

    @property
    def panel(self):
        return self.page.get_by_role("region", name="gpt-oss", exact=True)

    def show_panel(self):
        tool.command(self.page, "gptoss:show-panel")
        self.panel.wait_for()
