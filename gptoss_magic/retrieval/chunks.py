"""Documents to chunks that know their lines, offsets and heading path."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import MissingPackage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.retrieval.loaders import Document

CHARS = (400, 900)
MARKED = {"markdown", "html", "notebook"}
PARTED = {"pdf", "pptx", "xlsx", "live"}


@dataclass(frozen=True)
class Chunk:
    """A piece of a document: `number` from 0, `start` in characters, lines from 1, both included.

    `text` is the document's text from `start` on, unchanged.
    """

    id: str
    number: int
    start: int
    first_line: int
    last_line: int
    heading: str
    text: str


def chunks(document: Document) -> Iterator[Chunk]:
    """Pieces of 400 to 900 characters, cut where the text has its own joints.

    None goes over the end of a page, slide, sheet or cell of the live notebook.
    """
    begins = [0, *accumulate(len(line) + 1 for line in document.text.split("\n"))]
    for number, (start, text) in enumerate(_pieces(document, begins)):
        first = bisect_right(begins, start)
        last = bisect_right(begins, start + len(text) - 1)
        heading = heading_path(document, first)
        name = chunk_id(document.source, number)
        yield Chunk(name, number, start, first, last, heading, text)


def chunk_id(source: str, number: int) -> str:
    """The key of a source's chunk in a table."""
    return hashlib.sha256(f"{source}\0{number}".encode()).hexdigest()[:32]


def _pieces(document: Document, begins: list[int]) -> Iterator[tuple[int, str]]:
    """(start, text) of each piece."""
    splitter = _splitter(marked=document.kind in MARKED)
    cuts = [0, len(document.text)]
    if document.kind in PARTED:
        cuts[1:1] = [begins[line - 1] for line, level, _ in document.headings if level == 1]
    for first, end in pairwise(cuts):
        for start, text in splitter.chunk_indices(document.text[first:end]):
            yield first + start, text


def heading_path(document: Document, line: int) -> str:
    """`Title > Section` of what a line stands under."""
    open_: dict[int, str] = {}
    for at, level, title in document.headings:
        if at > line:
            break
        open_ = {above: name for above, name in open_.items() if above < level}
        open_[level] = title
    return " > ".join(open_[level] for level in sorted(open_))


@cache
def _splitter(*, marked: bool) -> Any:
    try:
        from semantic_text_splitter import MarkdownSplitter, TextSplitter
    except ImportError as error:
        raise MissingPackage(
            "indexing needs semantic-text-splitter: pip install gptoss_magic[rag]"
        ) from error
    return (MarkdownSplitter if marked else TextSplitter)(CHARS)
