"""Retrievers of others in the notebook: LangChain's retrievers and vector stores, or any `search`.

They are known by their methods; nothing of theirs is imported. What they give is quoted as
untrusted data, as files are.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, error_line
from gptoss_magic.quoting import encodable, printable
from gptoss_magic.records import Passage
from gptoss_magic.retrieval.cells import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gptoss_magic.retrieval.retriever import Retriever

SOURCES = ("source", "file_path", "file_name", "filename", "path", "url", "title")
HEADINGS = ("heading", "section", "header_path")
PAGES = ("page_label", "page_number", "page")
LINES = ("first_line", "start_line", "line_start")
MAX_NAME = 500


class Neighbour:
    """`thing` as a Retriever; its passages carry `name` as their index.

    `ask(query, k)` calls the thing. Whatever it raises becomes one line.
    """

    def __init__(self, name: str, thing: Any, ask: Callable[[Any, str, int], Any]) -> None:
        self.name, self._thing, self._ask = name, thing, ask

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """Passages of what it finds, k at most, numbered from 1. Raises InputError."""
        query = encodable(query)
        if not query.strip():
            raise InputError("search: the query is empty; write a question or words")
        if k < 1:
            raise InputError(f"search: {k} passages; give 1 or more")
        try:
            found = list(islice(self._ask(self._thing, query, k), k))
        except Exception as error:  # (code of others)
            raise InputError(
                f"retriever {self.name}: {error_line(error)}; mend it, or give an index"
            ) from error
        return passages(self.name, found)


def neighbour(name: str, thing: Any) -> Retriever | None:
    """`thing`, called `name` in the notebook, as a Retriever; None where it has no way to search.

    A LangChain vector store is asked by `similarity_search`, its retriever by `invoke` (which may
    give fewer than k), anything else by `search(query, k)`, which gives `Passage`s or documents.
    """
    if isinstance(thing, type):
        return None
    for method, ask in WAYS.items():
        if callable(getattr(thing, method, None)):
            return Neighbour(name, thing, ask)
    return None


WAYS: dict[str, Callable[[Any, str, int], Any]] = {
    "similarity_search": lambda store, query, k: store.similarity_search(query, k=k),
    "invoke": lambda retriever, query, k: retriever.invoke(query),
    "search": lambda retriever, query, k: retriever.search(query, k),
}


def passages(name: str, found: Iterable[Any]) -> list[Passage]:
    """Passages as they are, and documents (`page_content`, `metadata`) as passages.

    Empty ones are left out; so is, with a warning, what is neither. Raises InputError where
    nothing else was given.
    """
    made: list[Passage] = []
    unread: list[str] = []
    for rank, item in enumerate(found, 1):
        try:
            passage = item if isinstance(item, Passage) else passage_of(name, rank, item)
        except Exception as error:  # noqa: BLE001 (a document is an object of others)
            unread.append(error_line(error))
            continue
        if passage.text.strip():
            made.append(replace(passage, number=len(made) + 1, index=name))
    if unread and not made:
        raise InputError(unread[0])
    if unread:
        warnings.warn(f"{unread[0]}; left out: {len(unread)}", stacklevel=2)
    return made


def passage_of(name: str, rank: int, document: Any) -> Passage:
    """A document as a passage: lines counted from where its metadata says, else from 1.

    The last line follows from the text, so that a citation can be checked against what is shown.
    The score is 1/rank, as documents have none.
    """
    text = getattr(document, "page_content", None)
    if not isinstance(text, str):
        raise InputError(
            f"retriever {name}: it gives {type(document).__name__}, not documents with a "
            "page_content nor passages: give it documents or passages"
        )
    held = getattr(document, "metadata", None)
    metadata = held if isinstance(held, dict) else {}
    text = encodable(text.replace("\r\n", "\n").replace("\r", "\n"))
    first = first_line(metadata)
    return Passage(
        number=rank,
        index=name,
        source=source_of(name, rank, document, metadata),
        heading=heading_of(metadata),
        first_line=first,
        last_line=first + text.count("\n"),
        text=text,
        score=1 / rank,
    )


def source_of(name: str, rank: int, document: Any, metadata: Mapping[Any, Any]) -> str:
    """Where the document says it is from; else its id, else its place in the search."""
    given = first_of(metadata, SOURCES) or written(getattr(document, "id", None))
    return printable(given or f"{name}:{rank}")[:MAX_NAME]


def heading_of(metadata: Mapping[Any, Any]) -> str:
    """Heading path and page, the page as the metadata counts it."""
    levels = (written(metadata.get(f"Header {level}")) for level in range(1, 7))
    heading = first_of(metadata, HEADINGS) or " > ".join(filter(None, levels))
    page = first_of(metadata, PAGES)
    words = [heading, page and f"page {page}"]
    return encodable(", ".join(filter(None, words)))[:MAX_NAME]


def first_line(metadata: Mapping[Any, Any]) -> int:
    """The document's first line, where the metadata has one; else 1."""
    given = first_of(metadata, LINES)
    if not given and isinstance(metadata.get("loc"), dict):
        lines = metadata["loc"].get("lines")
        given = written(lines.get("from")) if isinstance(lines, dict) else ""
    is_number = given.isascii() and given.isdigit() and len(given) < 10
    return max(1, int(given)) if is_number else 1


def first_of(metadata: Mapping[Any, Any], keys: Iterable[str]) -> str:
    """The first of `keys` that says something, as text; '' where none does."""
    values = (written(metadata.get(key)) for key in keys)
    return next(filter(None, values), "")
