"""The three calls, as functions of what is open already: each gives the page that it opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.agents.browser.results import found_page, search_page
from gptoss_magic.agents.browser.stack import Stack, harmless_page
from gptoss_magic.agents.browser.view import shortened, shown
from gptoss_magic.agents.tools import ToolResult
from gptoss_magic.errors import GptOssError, InputError, error_line
from gptoss_magic.records import OpenPage, SourcePage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.agents.browser.view import Widths
    from gptoss_magic.records import PageSource, Snippet

MOST_HITS = 20
LINES_ABOVE = 4  # of a search's line, shown too
VIEW_SOURCE = "view-source:"


@dataclass(frozen=True)
class Target:
    """What an `open` leads to: a page that is open already, or a URL to read; where it begins."""

    page: SourcePage | None
    url: str
    line: int | None = None
    is_raw: bool = False


@dataclass(frozen=True)
class Browse:
    """Calls over `sources`; `widths`: the length of each token of a text, in characters."""

    sources: Sequence[PageSource]
    widths: Widths

    def search(
        self, pages: Sequence[OpenPage], query: str, topn: int = 10, source: str = ""
    ) -> ToolResult:
        """A page of results. Raises InputError."""
        asked = self._named(source)
        num = max(1, min(topn, MOST_HITS))
        try:
            found = [[(one.name, hit) for hit in one.search(query, num)] for one in asked]
        except GptOssError as error:
            raise InputError(
                f"Error during search for `{query}`: {shortened(error_line(error))}"
            ) from error
        return self._shown(pages, search_page(query, list(_in_turn(found))[:num]))

    def open(  # noqa: A003 (the tool's own name)
        self,
        pages: Sequence[OpenPage],
        *,
        id: int | str = -1,  # noqa: A002
        cursor: int = -1,
        loc: int = -1,
        num_lines: int = -1,
        view_source: bool = False,
        source: str = "",
    ) -> ToolResult:
        """A page, or another window of one. Raises InputError."""
        del source  # a URL says whose it is
        target = self.target(pages, id, cursor, is_raw=view_source)
        page = target.page or self._fetched(target)
        if loc < 0:
            loc = target.line or 0
            loc -= LINES_ABOVE if loc > LINES_ABOVE else 0
        return self._shown(pages, page, loc, num_lines)

    def find(self, pages: Sequence[OpenPage], pattern: str, cursor: int = -1) -> ToolResult:
        """A page of the places of a text in a page. Raises InputError."""
        page = Stack(pages).page(cursor)
        if page.snippets is not None:
            raise InputError("Cannot run `find` on search results page or find results page")
        return self._shown(pages, found_page(pattern, page))

    def target(
        self,
        pages: Sequence[OpenPage],
        id: int | str = -1,  # noqa: A002
        cursor: int = -1,
        *,
        is_raw: bool = False,
    ) -> Target:
        """What an `open` of these arguments leads to. Raises InputError.

        A URL that is given as such is read anew; a link's is read where it is not open already.
        """
        if isinstance(id, str):
            return Target(None, id, is_raw=is_raw)
        stack = Stack(pages)
        page = stack.page(cursor)
        if id < 0:
            return Target(None if is_raw else page, page.url, is_raw=is_raw)
        url = page.urls.get(str(id))
        if url is None:
            raise InputError(f"Invalid link id `{id}`.")
        if is_raw:
            return Target(None, url, is_raw=True)
        snippet = (page.snippets or {}).get(str(id))
        return Target(stack.by_url(url), url, snippet.line if snippet else None)

    def owner(self, url: str) -> PageSource:
        """The source that a URL is of. Raises InputError where no source has it."""
        for source in self.sources:
            if source.owns(url):
                return source
        names = ", ".join(source.name for source in self.sources)
        raise InputError(f"it is of no source; there are {names}")

    def _named(self, source: str) -> Sequence[PageSource]:
        """The source of this name, else all: a model names what it knows, such as `web`."""
        return [one for one in self.sources if one.name == source] or self.sources

    def _fetched(self, target: Target) -> SourcePage:
        try:
            page = self.owner(target.url).fetch(target.url, is_raw=target.is_raw)
        except GptOssError as error:
            words = shortened(error_line(error))
            url = f"{VIEW_SOURCE if target.is_raw else ''}{target.url}"
            raise InputError(f"Error fetching URL `{shortened(url)}`: {words}") from error
        return harmless_page(page)

    def _shown(
        self,
        pages: Sequence[OpenPage],
        page: SourcePage,
        first: int = 0,
        num_lines: int = -1,
    ) -> ToolResult:
        """The page on top of the stack. One that cannot be shown is not pushed."""
        page = page if any(page is one.page for one in pages) else harmless_page(page)
        cursor = Stack(pages).next_cursor
        text, last = shown(page, cursor, self.widths, first, num_lines)
        return ToolResult(text, page=OpenPage(cursor, page, first, last))


def _in_turn(found: Sequence[Sequence[tuple[str, Snippet]]]) -> Iterator[tuple[str, Snippet]]:
    """The best of each source, then the second ones, and so on."""
    for rank in range(max(map(len, found), default=0)):
        for hits in found:
            yield from hits[rank : rank + 1]
