"""Pages that a model opens: their text, their links, and what of them was shown.

Lines are those that gpt-oss was trained on: the text wrapped at 80 columns, counted from 0.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from gptoss_magic.records.quotes import PAGES, Passage

WIDTH = 80  # columns


@dataclass(frozen=True)
class Snippet:
    """What a search or a find says of a place: its page's `url`, and the `line` that it begins at.

    `line`: None where the search does not say.
    """

    url: str
    title: str
    text: str
    line: int | None = None


@dataclass(frozen=True)
class SourcePage:
    """A page as it was read. `text` has its links as `【id†words】`, `urls` where each leads.

    `snippets`: by link's id, on a page of search or find results alone. `read_at`: ISO 8601, of a
    page that came over the network.
    """

    url: str
    title: str
    text: str
    urls: Mapping[str, str]
    snippets: Mapping[str, Snippet] | None = None
    read_at: str = ""

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The text at most 80 columns wide; an empty line stays one."""
        return tuple(piece for line in self.text.split("\n") for piece in wrapped(line))


@dataclass(frozen=True)
class OpenPage:
    """A page in a conversation's stack, and which of its lines were shown, both included."""

    cursor: int
    page: SourcePage
    first: int
    last: int

    @property
    def passage(self) -> Passage:
        """The lines that were shown, as what an answer may cite."""
        return self.lines(self.first, self.last)

    def lines(self, first: int, last: int) -> Passage:
        """Some of its lines, both included, as what an answer may cite."""
        return Passage(
            number=self.cursor,
            index=PAGES,
            source=self.page.url,
            heading=self.page.title,
            first_line=first,
            last_line=last,
            text="\n".join(self.page.lines[first : last + 1]),
        )


class PageSource(Protocol):
    """Where pages come from. `name`: what the model and the user call it.

    `is_remote`: reading a page asks another machine, so that each such source has a consent of its
    own. `search` gives at most `k`, best first, and asks nobody. `fetch` raises InputError.
    """

    name: str
    is_remote: bool

    def owns(self, url: str) -> bool:
        """Whether a URL is one of its pages, without a look at it."""

    def search(self, query: str, k: int) -> Sequence[Snippet]:
        """The pages that are about `query`."""

    def fetch(self, url: str, *, is_raw: bool = False) -> SourcePage:
        """The page, read anew; `is_raw`: as its source is written."""


def wrapped(line: str) -> list[str]:
    """A line as lines of at most 80 columns, nothing of it lost."""
    if not line:
        return [""]
    return textwrap.wrap(line, WIDTH, replace_whitespace=False, drop_whitespace=False)
