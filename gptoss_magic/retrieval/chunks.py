"""Documents to chunks that know their lines, offsets and heading path."""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import MissingPackage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.retrieval.loaders import Document

CHARS = (800, 900)
MARKED = {"markdown", "html", "notebook"}
PARTED = {"pdf", "pptx", "xlsx", "live"}
SECTION_CHARS = 50_000  # the splitter's time grows with the square of a text without joints


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
    """Pieces of 900 characters at most, cut where the text has its own joints; sections that are
    shorter are joined up to 800.

    None goes over the end of a page, slide, sheet or cell of the live notebook.
    """
    begins = line_starts(document.text)
    titles = heading_paths(document)
    lines = [line for line, _ in titles]
    for number, (start, text) in enumerate(_pieces(document, begins)):
        first = bisect_right(begins, start)
        last = bisect_right(begins, start + len(text) - 1)
        above = bisect_right(lines, first)
        heading = titles[above - 1][1] if above else ""
        name = chunk_id(document.source, number)
        yield Chunk(name, number, start, first, last, heading, text)


def chunk_id(source: str, number: int) -> str:
    """The key of a source's chunk in a table."""
    return hashlib.sha256(f"{source}\0{number}".encode()).hexdigest()[:32]


def _pieces(document: Document, begins: Sequence[int]) -> Iterator[tuple[int, str]]:
    """(start, text) of each piece; every 50,000 characters the splitter begins anew."""
    splitter = _splitter(marked=document.kind in MARKED)
    cuts = [0, len(document.text)]
    if document.kind in PARTED:
        cuts[1:1] = [begins[line - 1] for line, level, _ in document.headings if level == 1]
    for begin, last in pairwise(cuts):
        while begin < last:
            end = min(_section_end(document.text, begin), last)
            for start, piece in splitter.chunk_indices(document.text[begin:end]):
                yield begin + start, piece
            begin = end  # noqa: PLW2901


def _section_end(text: str, begin: int) -> int:
    """Behind the last paragraph, else the last line, that ends within 50,000 characters."""
    end = begin + SECTION_CHARS
    if end >= len(text):
        return len(text)
    joints = (text.rfind(joint, begin, end) + len(joint) for joint in ("\n\n", "\n"))
    return next((cut for cut in joints if cut > begin + 1), end)


def line_starts(text: str) -> array[int]:
    """Where each line begins, in characters."""
    starts = array("q", [0])
    starts.extend(found.end() for found in re.finditer("\n", text))
    return starts


def heading_paths(document: Document) -> list[tuple[int, str]]:
    """(line, `Title > Section` of what stands below it) of each heading, in order."""
    open_: dict[int, str] = {}
    paths = []
    for line, level, title in document.headings:
        open_ = {above: name for above, name in open_.items() if above < level}
        open_[level] = title
        paths.append((line, " > ".join(open_[level] for level in sorted(open_))))
    return paths


def heading_path(document: Document, line: int) -> str:
    """`Title > Section` of what a line stands under."""
    above = [path for at, path in heading_paths(document) if at <= line]
    return above[-1] if above else ""


@cache
def _splitter(*, marked: bool) -> Any:
    try:
        from semantic_text_splitter import MarkdownSplitter, TextSplitter
    except ImportError as error:
        raise MissingPackage(
            "indexing needs semantic-text-splitter: pip install gptoss_magic[rag]"
        ) from error
    return (MarkdownSplitter if marked else TextSplitter)(CHARS)
