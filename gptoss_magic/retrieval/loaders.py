"""A file's bytes to text with headings: Markdown, HTML, notebooks, PDF, Office, any other text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from gptoss_magic.errors import InputError, MissingPackage, error_line
from gptoss_magic.headings import headings_of
from gptoss_magic.quoting import encodable, is_encodable
from gptoss_magic.retrieval.cells import written
from gptoss_magic.textfiles import REPLACEMENT, Unreadable, decode, json_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

MARKDOWN = {".md", ".markdown", ".mdx", ".qmd"}
HTML = {".html", ".htm", ".xhtml"}
LINE_END = re.compile(r"\r\n?|\v")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
BLOCKS = ["p", "div", "section", "article", "li", "tr", "dt", "dd", "br", "table", "ul", "ol", "dl"]
MOST_NAMED = 10
NOT_TEXT = ["script", "style", "nav", "template", "noscript"]


@dataclass(frozen=True)
class Document:
    """What is indexed of one source.

    `source` is unique in an index (an absolute path, `frame:NAME` or `notebook:NAME`), `origin` the
    argument that led to it, `digest` of the bytes. `headings`: (line from 1, level from 1, title)
    in order. `kind`: 'markdown', 'html', 'notebook', 'pdf', 'docx', 'pptx', 'xlsx', 'text', 'frame'
    or 'live'. `note`: what of the source could not be read, '' where all was.
    """

    source: str
    origin: str
    digest: str
    kind: str
    text: str
    headings: tuple[tuple[int, int, str], ...] = ()
    note: str = ""


class Parsed(NamedTuple):
    """Text, its headings as in `Document`, and what could not be read."""

    text: str
    headings: list[tuple[int, int, str]]
    note: str = ""


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path, origin: str, data: bytes) -> Document:
    """The document in a file's bytes. Raises Unreadable, MissingPackage."""
    suffix = path.suffix.lower()
    if suffix in PACKED:
        kind, encoding_note = suffix[1:], ""
        parsed = packed(*PACKED[suffix])(data)
    else:
        kind, convert = LOADERS.get(suffix, ("text", plain))
        decoded = decode(data)
        encoding_note = decoded.note
        parsed = convert(plain_text(decoded.text))
    if not parsed.text.strip():
        raise Unreadable(parsed.note or "no text in it")
    note = "; ".join(filter(None, (encoding_note, parsed.note)))
    return Document(
        str(path), origin, digest(data), kind, parsed.text, tuple(parsed.headings), note
    )


def storable(document: Document) -> Document:
    """The document as a table can hold it: each lone surrogate is U+FFFD, and noted."""
    if is_encodable(document.text) and all(is_encodable(title) for *_, title in document.headings):
        return document
    headings = tuple((line, level, encodable(title)) for line, level, title in document.headings)
    note = f"half characters in it (surrogates), read as {REPLACEMENT}"
    return replace(
        document,
        text=encodable(document.text),
        headings=headings,
        note="; ".join(filter(None, (document.note, note))),
    )


def plain_text(text: str) -> str:
    """The text with line feeds as its line ends, and without NULs."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def plain(text: str) -> Parsed:
    """Text as it is, without headings."""
    return Parsed(text, [])


def markdown(text: str) -> Parsed:
    """Text as it is; headings are the `#` lines outside fenced code."""
    return Parsed(text, headings_of(text))


def html(text: str) -> Parsed:
    """What a page shows, as Markdown of headings, paragraphs, list items and code."""
    try:
        from bs4 import BeautifulSoup
    except ImportError as error:
        raise MissingPackage("HTML needs beautifulsoup4: pip install gptoss_magic[rag]") from error
    return markdown(page_text(body_of(BeautifulSoup(text, "html.parser"))))


def body_of(soup: Any) -> Any:
    """What a parsed page shows, without scripts, styles and menus, which are taken out of it."""
    for tag in soup(NOT_TEXT):
        tag.decompose()
    return soup.find("main") or soup.body or soup


def page_text(body: Any) -> str:
    """The text of a page's body, which is taken apart by it."""
    for tag in body.find_all(re.compile(r"^h[1-6]$")):
        title = " ".join(tag.get_text().split())
        tag.replace_with(f"\n\n{'#' * int(tag.name[1])} {title}\n\n")
    for tag in body.find_all("pre"):
        tag.replace_with(f"\n\n```\n{tag.get_text().strip()}\n```\n\n")
    for tag in body.find_all(BLOCKS):
        tag.insert_before("\n- " if tag.name == "li" else "\n")
        tag.insert_after("\n")
    return re.sub(r"\s*\n\s*\n\s*", "\n\n", body.get_text()).strip()


def notebook(text: str) -> Parsed:
    """Sources of the cells; each cell is a heading above those in its Markdown.

    Of any version's format. A cell without a source is left out and named. Raises Unreadable.
    """
    lines: list[str] = []
    headings: list[tuple[int, int, str]] = []
    unread: list[int] = []
    for number, cell in enumerate(notebook_cells(text), 1):
        source = cell_source(cell)
        if source is None:
            unread.append(number)
            continue
        is_markdown = cell.get("cell_type") in ("markdown", "heading")
        body, inner, _ = markdown(source) if is_markdown else plain(source)
        if not body.strip():
            continue
        at = len(lines)
        headings += [(at + 1, 7, f"cell {number}")] if not inner else []
        headings += [(at + line, level, title) for line, level, title in inner]
        lines += [*body.split("\n"), ""]
    named = [f"cell {number} has no source" for number in unread]
    return Parsed("\n".join(lines), headings, first_few(named))


def notebook_cells(text: str) -> list[Any]:
    """The cells of a notebook's JSON: in one list, or up to version 3 in worksheets."""
    try:
        content = json_value(text, "not a notebook")
    except InputError as error:
        raise Unreadable(str(error)) from error
    content = content if isinstance(content, dict) else {}
    sheets = content.get("worksheets")
    holders = sheets if isinstance(sheets, list) and sheets else [content]
    lists = [holder.get("cells") for holder in holders if isinstance(holder, dict)]
    if not any(isinstance(cells, list) for cells in lists):
        raise Unreadable("not a notebook: it has no list of cells")
    return [cell for cells in lists if isinstance(cells, list) for cell in cells]


def cell_source(cell: Any) -> str | None:
    """What stands in a notebook's cell; None where it has no source."""
    if not isinstance(cell, dict):
        return None
    source = cell.get("source", cell.get("input"))
    lines = [source] if isinstance(source, str) else source
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return None
    body = plain_text("".join(lines))
    if cell.get("cell_type") != "heading":
        return body
    level = cell.get("level")
    return f"{'#' * (level if isinstance(level, int) else 1)} {body}"


def first_few(notes: Sequence[str]) -> str:
    """Notes in one line, and how many more there are."""
    more = len(notes) - MOST_NAMED
    return "; ".join([*notes[:MOST_NAMED], *([f"and {more:,} more"] if more > 0 else [])])


def frame(name: str, table: Any) -> Document:
    """A DataFrame as a document: a section for each row, a line for each filled column.

    A row with nothing in it is passed over; one that cannot be written as text is named.
    """
    columns = [written(column) for column in table.columns]
    blocks: list[str] = []
    headings: list[tuple[int, int, str]] = []
    unread: list[str] = []
    line = 1
    for number, (label, *values) in enumerate(table.itertuples(name=None)):
        try:
            title, block = f"row {written(label) or number}", _row_text(columns, values)
        except Exception as error:  # noqa: BLE001 (what a cell's object raises is open)
            unread.append(f"row {number}: {error_line(error)}")
            continue
        if block:
            headings.append((line, 1, title))
            blocks.append(block)
            line += block.count("\n") + 2
    text, source = "\n\n".join(blocks), f"frame:{name}"
    known = digest(text.encode("utf-8", "surrogatepass"))
    return Document(source, source, known, "frame", text, tuple(headings), first_few(unread))


def _row_text(columns: Sequence[str], values: Sequence[Any]) -> str:
    cells = ((column, written(value)) for column, value in zip(columns, values, strict=True))
    return "\n".join(f"{column}: {text}" if column else text for column, text in cells if text)


def pages(noun: str, parts: Iterable[tuple[str, str]]) -> Parsed:
    """Numbered parts, as (title, text), one below the other: headings `page N`, and the title."""
    lines: list[str] = []
    headings: list[tuple[int, int, str]] = []
    for number, (title, text) in enumerate(parts, 1):
        headings.append((len(lines) + 1, 1, f"{noun} {number}"))
        headings += [(len(lines) + 1, 2, title)] if title else []
        lines += [*CONTROL.sub("", LINE_END.sub("\n", text)).strip("\n").split("\n"), ""]
    return Parsed("\n".join(lines), headings)


def packed(module: str, name: str) -> Callable[[bytes], Parsed]:
    """A loader of files that are no text, from a module that is imported now."""
    loader: Callable[[bytes], Parsed] = getattr(
        import_module(f"gptoss_magic.retrieval.{module}"), name
    )
    return loader


PACKED = {
    ".pdf": ("pdf", "pdf"),
    ".docx": ("office", "docx"),
    ".pptx": ("office", "pptx"),
    ".xlsx": ("office", "xlsx"),
}
LOADERS: dict[str, tuple[str, Callable[[str], Parsed]]] = {
    **dict.fromkeys(MARKDOWN, ("markdown", markdown)),
    **dict.fromkeys(HTML, ("html", html)),
    ".ipynb": ("notebook", notebook),
}
