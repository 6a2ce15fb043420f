"""The notebook's own cells as pages: each a page, with what it gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.pages.html import text_page
from gptoss_magic.retrieval.pages.ranked import counted, hit, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.records import Snippet, SourcePage

MAX_OUTPUT = 20_000  # characters
NEWEST = 500  # cells that a search looks at


class NotebookPages:
    """`notebook`: the cells that were run, the one that runs now apart.

    `cells`: by number, the first is empty, the running one last; `outputs`: values by number.
    """

    is_remote, name, prefix = False, "notebook", "notebook:cell/"

    def __init__(
        self, cells: Callable[[], Sequence[str]], outputs: Callable[[], Mapping[int, Any]]
    ) -> None:
        self._cells, self._outputs = cells, outputs

    def owns(self, url: str) -> bool:
        return url.startswith(self.prefix)

    def search(self, query: str, k: int) -> list[Snippet]:
        """Cells with most of the query's words."""
        above = len(self._cells()) - 1
        numbers = range(max(1, above - NEWEST), above)
        pages = [self._page(number) for number in numbers]
        best = ranked(query, [counted(page.text) for page in pages], k)
        return [hit(pages[place], query) for place in best]

    def fetch(self, url: str, *, is_raw: bool = False) -> SourcePage:
        """The page of a cell; `is_raw` is the same. Raises InputError."""
        number = url.removeprefix(self.prefix)
        if not number.isdecimal() or not 0 < int(number) < len(self._cells()) - 1:
            raise InputError("the notebook has no such cell")
        return self._page(int(number))

    def _page(self, number: int) -> SourcePage:
        lines = [f"In [{number}]:", self._cells()[number].rstrip()]
        given = self._outputs()
        if number in given:
            shown = repr(given[number])
            more = " […]" if len(shown) > MAX_OUTPUT else ""
            lines += [f"Out[{number}]:", f"{shown[:MAX_OUTPUT]}{more}"]
        return text_page(f"{self.prefix}{number}", f"Cell {number}", "\n".join(lines))
