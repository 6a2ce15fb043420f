"""The cells of a notebook, of any version and shape, as they stand on a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gptoss_magic.sharing.notebooks import member
from gptoss_magic.sharing.pages import pictures
from gptoss_magic.sharing.pages.cleaner import Cleaner
from gptoss_magic.sharing.pages.left_out import LeftOut
from gptoss_magic.sharing.pages.listing import source_html
from gptoss_magic.sharing.pages.maths import typeset
from gptoss_magic.sharing.pages.origin import Headings, Origin
from gptoss_magic.sharing.pages.prose import TITLE, inline_html, markdown_html
from gptoss_magic.sharing.pages.sheets import Sheets
from gptoss_magic.sharing.pages.shown import OutputBundle, cut, terminal_html, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOTEBOOK = "n"  # before the ids of Markdown cells, which link to each other


@dataclass
class CellWriter:
    """Writes cell after cell. `folder`: where images beside the notebook may lie; None: none."""

    language: str = "python"
    folder: Path | None = None
    sheets: Sheets = field(default_factory=Sheets)
    headings: Headings = field(default_factory=Headings)
    left: LeftOut = field(default_factory=LeftOut)

    def cell(self, number: int, cell: Any) -> str:
        """The HTML of one cell; `number` counts cells from 0."""
        if not isinstance(cell, dict):
            return self._noted(LeftOut(), "", damaged="a cell that is no object")
        kind, source = cell.get("cell_type"), text_of(cell.get("source")) or ""
        if kind == "markdown":
            return self._markdown(number, cell, source)
        if kind == "code":
            return self._code(number, cell, source)
        words = "Text" if kind == "raw" else f"Cell of the kind {kind}"
        text = terminal_html(cut(source, self.left), self.sheets) if source.strip() else ""
        return _group(number, words, text)

    def title_html(self, title: str) -> str:
        """A title's Markdown; what cannot stay in it is not counted: it stands in the cell."""
        origin = Origin(NOTEBOOK, self.sheets, self.headings, typeset=typeset)
        return Cleaner(origin).clean(inline_html(title))

    def _markdown(self, number: int, cell: Mapping[str, Any], source: str) -> str:
        left = LeftOut()
        find = partial(self._picture, cell.get("attachments"))
        origin = Origin(NOTEBOOK, self.sheets, self.headings, find, typeset)
        html = Cleaner(origin, left).clean(markdown_html(cut(source, left)))
        return _group(number, "", self._noted(left, f'<div class="gp-rich">{html}</div>'))

    def _picture(self, attachments: Any, source: str) -> str:
        """An image of the cell's attachments, or a file below the notebook's folder."""
        scheme, _, name = source.partition(":")
        if scheme != "attachment":
            return pictures.of_file(source, self.folder)
        forms = attachments.get(unquote(name)) if isinstance(attachments, dict) else None
        for kind, value in forms.items() if isinstance(forms, dict) else ():
            text = text_of(value) or ""
            inside = pictures.of_svg(text) if kind == "image/svg+xml" else ""
            inside = inside or pictures.of_base64(text)
            if inside:
                return inside
        return ""

    def _code(self, number: int, cell: Mapping[str, Any], source: str) -> str:
        count = cell.get("execution_count")
        label = f"In [{count}]" if isinstance(count, int) else "Code, not run"
        hidden = _flags(cell)
        written = source_html(source, self.language) if source.strip() else ""
        written = f'<div class="gp-source">{written}</div>' if written else ""
        if "source_hidden" in hidden and written:
            written = f"<details><summary>Source</summary>{written}</details>"
        outputs = "".join(self._outputs(number, cell.get("outputs")))
        if "outputs_hidden" in hidden and outputs:
            outputs = f"<details><summary>Output</summary>{outputs}</details>"
        return _group(number, label, written + outputs)

    def _outputs(self, number: int, outputs: Any) -> Iterator[str]:
        for index, output in enumerate(_joined(outputs if isinstance(outputs, list) else [])):
            prefix, left = f"o{number}-{index}", LeftOut()
            html = self._noted(left, self._output(output, prefix, left))
            if html:
                yield f'<div class="gp-output" id="{prefix}">{html}</div>\n'

    def _output(self, output: Any, prefix: str, left: LeftOut) -> str:
        if not isinstance(output, dict):
            left.add("damaged output")
            return ""
        kind = output.get("output_type")
        if kind == "stream":
            is_error = output.get("name") == "stderr"
            text = cut(text_of(output.get("text")) or "", left)
            name = "stderr" if is_error else "text"
            return terminal_html(text, self.sheets, name) if text.strip() else ""
        if kind == "error":
            return terminal_html(cut(_traceback(output), left), self.sheets, "error")
        data, metadata = output.get("data"), output.get("metadata")
        if not isinstance(data, dict):
            left.add("damaged output")
            return ""
        kept = metadata if isinstance(metadata, dict) else {}
        return OutputBundle(data, kept, prefix, self.sheets, self.headings, left).html()

    def _noted(self, left: LeftOut, html: str, damaged: str = "") -> str:
        """With a line below that says what is not there."""
        if damaged:
            left.add("damaged cell", damaged)
        if not left:
            return html
        self.left.join(left)
        return f'{html}<p class="gp-left">Left out here: {escape(str(left))}</p>'


def title_of(cells: list[Any]) -> tuple[str, list[Any]]:
    """The title that the first cell begins with, in Markdown, and the cells without it."""
    first = cells[0] if cells else None
    if not isinstance(first, dict) or first.get("cell_type") != "markdown":
        return "", cells
    source = text_of(first.get("source")) or ""
    match = TITLE.match(source)
    if match is None:
        return "", cells
    return match["title"], [{**first, "source": source[match.end() :]}, *cells[1:]]


def _group(number: int, label: str, html: str) -> str:
    if not html.strip():
        return ""
    named = f' role="group" aria-label="{escape(label)}"' if label else ""
    shown = f'<div class="gp-count">{escape(label)}</div>' if label else ""
    return f'<div class="gp-cell" id="cell-{number}"{named}>{shown}{html}</div>\n'


def _flags(cell: Mapping[str, Any]) -> set[str]:
    """What the notebook shows folded: source_hidden, outputs_hidden."""
    metadata = member(cell, "metadata")
    flags = {name for name, value in member(metadata, "jupyter").items() if value is True}
    if metadata.get("collapsed") is True:
        flags.add("outputs_hidden")
    return flags


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs with neighbouring texts of one stream put together."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if _stream(output) is not None and last is not None and _stream(output) == _stream(last):
            both = (text_of(last.get("text")) or "") + (text_of(output.get("text")) or "")
            joined[-1] = {**last, "text": both}
        else:
            joined.append(output)
    return joined


def _stream(output: Any) -> str | None:
    is_stream = isinstance(output, dict) and output.get("output_type") == "stream"
    return str(output.get("name")) if is_stream else None


def _traceback(output: Mapping[str, Any]) -> str:
    lines = output.get("traceback")
    if isinstance(lines, list) and lines:
        return "\n".join(map(str, lines))
    return f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
