"""nbconvert's door to the page: `jupyter nbconvert --to gptoss_page NOTEBOOK`, and Lab's menu."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbconvert.exporters.exporter import Exporter

from gptoss_magic.sharing.pages.page_html import page_text

if TYPE_CHECKING:
    from nbformat import NotebookNode


class PageExporter(Exporter):
    """One HTML file without network or script, that `%gptoss replay` reads."""

    export_from_notebook = "gpt-oss page"
    output_mimetype = "text/html"

    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: Any = None, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page's text, after the preprocessors that the user asked for."""
        notebook, kept = super().from_notebook_node(nb, resources, **kwargs)
        about = kept.get("metadata", {})
        name, folder = about.get("name") or "notebook", about.get("path")
        path = Path(folder) if folder else None
        return page_text(notebook, f"{name}.ipynb", f"{name}.html", path).html, kept
