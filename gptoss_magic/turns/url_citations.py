"""Which URLs an answer cites, where a caller ran gpt-oss's browser and told what it showed.

Pages are read off the results that the browser's tools gave: their first line has the cursor, the
title and the address, the second how many lines there are (`agents/browser/view.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from gptoss_magic.records import PAGES, Passage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.records import Message

TOOL = re.compile(r"(?:functions\.)?browser(?:\.|_{1,2})(?:search|open|find)")
VIEW = re.compile(  # of an address that cannot run
    r"\[(?P<cursor>\d{1,9})\] (?P<title>.+) "
    r"\((?P<where>(?:https?|folder|site|zim|index|notebook):.+)\)\n"
    r"\*\*viewing lines \[\d+ - \d+\] of (?P<last>\d{1,9})\*\*\n"
)
OWN_LINE = re.compile(r"^L1: URL: (\S+)$", re.MULTILINE)  # of a page's beginning
FOUND = re.compile(r"/find\?pattern=.*$", re.DOTALL)  # a page of places within another page


@dataclass(frozen=True)
class UrlCitation:
    """A mark of an answer: its characters from `start` up to `end`, and the page that it names."""

    start: int
    end: int
    url: str
    title: str


def told_pages(messages: Sequence[Message]) -> dict[int, Passage]:
    """The pages that a conversation has open, by cursor; the latest of a cursor counts."""
    pages = {}
    for message in messages:
        if message.role == "tool" and TOOL.fullmatch(message.author or ""):
            page = _page(message.content)
            if page is not None:
                pages[page.number] = page
    return pages


def url_citations(text: str, pages: Mapping[int, Passage]) -> list[UrlCitation]:
    """The marks `【1†L4-L6】` of a text that name lines which such a page has."""
    from gptoss_magic.retrieval.cite import check

    if not pages:
        return []
    found = [one for one in check(text, list(pages.values())) if one.valid and one.text[0] == "【"]
    return [
        UrlCitation(
            one.start,
            one.start + len(one.text),
            pages[one.number].source,
            pages[one.number].heading,
        )
        for one in found
    ]


def _page(view: str) -> Passage | None:
    """The page that a tool showed; None for results of a search, and for what is no view."""
    head = VIEW.match(view)
    if head is None:
        return None
    title, where = head["title"], head["where"]
    own = OWN_LINE.search(view, head.end())
    own = own if own and where.endswith(unquote(own[1])) else None
    url = own[1] if own else quote(where, safe=":/?#[]@!$&'()*+,;=%~")
    whole = f"{title} ({where}"
    if own and whole.endswith(f" ({unquote(url)}"):  # a name may have brackets too
        title = whole.removesuffix(f" ({unquote(url)}")
    return Passage(
        number=int(head["cursor"]),
        index=PAGES,
        source=FOUND.sub("", url),
        heading=title,
        first_line=0,
        last_line=int(head["last"]),
        text="",
    )
