"""The sources of an index as pages: each whole, as it was indexed."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from gptoss_magic.errors import InputError
from gptoss_magic.records import Snippet, SourcePage
from gptoss_magic.records.pages import wrapped
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.pages.html import text_page
from gptoss_magic.retrieval.pages.ranked import below_top, snippet

if TYPE_CHECKING:
    from gptoss_magic.records import Passage

MORE = 3  # passages that are looked at for one page


class IndexPages:
    """`NAME`: an index, found by words and by meaning. Raises InputError where there is none."""

    is_remote = False

    def __init__(self, name: str) -> None:
        self.name, self.index = name, Index.open(name)
        self.prefix = f"index:{name}/"

    def owns(self, url: str) -> bool:
        return url.startswith(self.prefix)

    def search(self, query: str, k: int) -> list[Snippet]:
        """The sources of the best passages, each from its best passage on."""
        found: dict[str, Passage] = {}
        for passage in self.index.search(query, k * MORE):
            found.setdefault(passage.source, passage)
        return [self._hit(passage) for passage in list(found.values())[:k]]

    def fetch(self, url: str, *, is_raw: bool = False) -> SourcePage:
        """The text of a source; `is_raw` is the same. Raises InputError."""
        source = unquote(url.removeprefix(self.prefix))
        passage = self.index.whole(source)
        if passage is None:
            raise InputError(f"{self.name} has no such page")
        above = "\n" * (passage.first_line - 1)
        return text_page(self._url(source), _title(source), f"{above}{passage.text}")

    def _url(self, source: str) -> str:
        return f"{self.prefix}{quote(source)}"

    def _hit(self, passage: Passage) -> Snippet:
        url = self._url(passage.source)
        line = line_of(self.fetch(url), passage.first_line)
        heading = f"{_title(passage.source)} · {passage.heading}".strip(" ·")
        return Snippet(url, heading, snippet(passage.text.split("\n")), below_top(line))


def line_of(page: SourcePage, number: int) -> int:
    """The page's line where line `number` (from 1) of its source begins, below the URL's."""
    above = page.text.split("\n")[: number + 1]
    return sum(len(wrapped(line)) for line in above)


def _title(source: str) -> str:
    return PurePath(source).name or source
