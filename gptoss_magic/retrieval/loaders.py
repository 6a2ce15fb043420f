"""A file's bytes to text with headings: Markdown, HTML, notebooks, PDF, Office, any other text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError, MissingPackage
from gptoss_magic.headings import headings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MARKDOWN = {".md", ".markdown", ".mdx", ".qmd"}
HTML = {".html", ".htm", ".xhtml"}
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
LINE_END = re.compile(r"\r\n?|\v")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
BLOCKS = ["p", "div", "section", "article", "li", "tr", "dt", "dd", "br", "table", "ul", "ol", "dl"]
NOT_TEXT = ["script", "style", "nav", "template", "noscript"]


@dataclass(frozen=True)
class Document:
    """What is indexed of one source.

    `source` is unique in an index (an absolute path, `frame:NAME` or `notebook:NAME`), `origin` the
    argument that led to it, `digest` of the bytes. `headings`: (line from 1, level from 1, title)
    in order. `kind`: 'markdown', 'html', 'notebook', 'pdf', 'docx', 'pptx', 'xlsx', 'text', 'frame'
    or 'live'.
    """

    source: str
    origin: str
    digest: str
    kind: str
    text: str
    headings: tuple[tuple[int, int, str], ...] = ()


class Unreadable(GptOssError, ValueError):
    """A file that holds no text that could be read; says why."""


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path, origin: str, data: bytes) -> Document:
    """The document in a file's bytes. Raises Unreadable, MissingPackage."""
    suffix = path.suffix.lower()
    if suffix in PACKED:
        kind, (text, headings) = suffix[1:], packed(*PACKED[suffix])(data)
    else:
        kind, convert = LOADERS.get(suffix, ("text", plain))
        text, headings = convert(decode(data))
    if not text.strip():
        raise Unreadable("no text in it")
    return Document(str(path), origin, digest(data), kind, text, tuple(headings))


def decode(data: bytes) -> str:
    """Text of bytes in any common encoding; line ends become line feeds. Raises Unreadable."""
    marked = MARKS.get(data[:2]) or MARKS.get(data[:3])
    if b"\x00" in data[:8192] and marked is None:
        raise Unreadable("binary")
    try:
        text = data.decode(marked or "utf-8")
    except UnicodeDecodeError:
        text = _guessed(data)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _guessed(data: bytes) -> str:
    """Decode by what charset-normalizer takes the first 200 kB for."""
    try:
        from charset_normalizer import from_bytes
    except ImportError as error:
        raise Unreadable("not UTF-8; pip install charset-normalizer reads others") from error
    best = from_bytes(data[:200_000]).best()
    if best is None:
        raise Unreadable("binary, or in an unknown encoding")
    try:
        return data.decode(best.encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8, and damaged as {best.encoding}") from error


Parsed = tuple[str, list[tuple[int, int, str]]]


def plain(text: str) -> Parsed:
    """Text as it is, without headings."""
    return text, []


def markdown(text: str) -> Parsed:
    """Text as it is; headings are the `#` lines outside fenced code."""
    return text, headings_of(text)


def html(text: str) -> Parsed:
    """What a page shows, as Markdown of headings, paragraphs, list items and code."""
    try:
        from bs4 import BeautifulSoup
    except ImportError as error:
        raise MissingPackage("HTML needs beautifulsoup4: pip install gptoss_magic[rag]") from error
    soup = BeautifulSoup(text, "html.parser")
    for tag in soup(NOT_TEXT):
        tag.decompose()
    body = soup.find("main") or soup.body or soup
    for tag in body.find_all(re.compile(r"^h[1-6]$")):
        title = " ".join(tag.get_text().split())
        tag.replace_with(f"\n\n{'#' * int(tag.name[1])} {title}\n\n")
    for tag in body.find_all("pre"):
        tag.replace_with(f"\n\n```\n{tag.get_text().strip()}\n```\n\n")
    for tag in body.find_all(BLOCKS):
        tag.insert_before("\n- " if tag.name == "li" else "\n")
        tag.insert_after("\n")
    return markdown(re.sub(r"\s*\n\s*\n\s*", "\n\n", body.get_text()).strip())


def notebook(text: str) -> Parsed:
    """Sources of the cells; each cell is a heading above those in its Markdown."""
    try:
        import nbformat
    except ImportError as error:
        raise MissingPackage("notebooks need nbformat: pip install gptoss_magic[rag]") from error
    try:
        cells = nbformat.reads(text, as_version=4).cells  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        raise Unreadable("not a notebook") from error
    lines: list[str] = []
    headings: list[tuple[int, int, str]] = []
    for number, cell in enumerate(cells, 1):
        body, inner = markdown(cell.source) if cell.cell_type == "markdown" else (cell.source, [])
        if not body.strip():
            continue
        at = len(lines)
        headings += [(at + 1, 7, f"cell {number}")] if not inner else []
        headings += [(at + line, level, title) for line, level, title in inner]
        lines += [*body.split("\n"), ""]
    return "\n".join(lines), headings


def frame(name: str, table: Any) -> Document:
    """A DataFrame as a document: a section for each row, a line for each filled column."""
    blocks: list[str] = []
    headings, line = [], 1
    for label, row in table.iterrows():
        headings.append((line, 1, f"row {label}"))
        cells = [f"{column}: {value}" for column, value in row.items() if str(value).strip()]
        blocks.append("\n".join(cells))
        line += blocks[-1].count("\n") + 2
    text, source = "\n\n".join(blocks), f"frame:{name}"
    return Document(source, source, digest(text.encode()), "frame", text, tuple(headings))


def pages(noun: str, parts: Iterable[tuple[str, str]]) -> Parsed:
    """Numbered parts, as (title, text), one below the other: headings `page N`, and the title."""
    lines: list[str] = []
    headings: list[tuple[int, int, str]] = []
    for number, (title, text) in enumerate(parts, 1):
        headings.append((len(lines) + 1, 1, f"{noun} {number}"))
        headings += [(len(lines) + 1, 2, title)] if title else []
        lines += [*CONTROL.sub("", LINE_END.sub("\n", text)).strip("\n").split("\n"), ""]
    return "\n".join(lines), headings


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
