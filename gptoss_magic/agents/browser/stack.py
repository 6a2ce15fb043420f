"""The pages that a conversation opened, by their cursors; made harmless as they come in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import page_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.records import OpenPage, SourcePage


@dataclass(frozen=True)
class Stack:
    """Open pages, oldest first. A cursor is never given twice, whatever was forgotten."""

    opened: Sequence[OpenPage]

    @property
    def next_cursor(self) -> int:
        return self.opened[-1].cursor + 1 if self.opened else 0

    def page(self, cursor: int = -1) -> SourcePage:
        """The page of a cursor, -1 for the latest. Raises InputError."""
        if not self.opened:
            raise InputError("No pages to access!")
        if cursor < 0:
            return self._from_the_end(cursor)
        for one in reversed(self.opened):
            if one.cursor == cursor:
                return one.page
        if cursor < self.opened[-1].cursor:
            raise InputError(f"Cursor `{cursor}` is closed: its turn is no longer kept.")
        raise self._out_of_range(cursor)

    def by_url(self, url: str) -> SourcePage | None:
        """The page of this URL as it was read last."""
        return next((one.page for one in reversed(self.opened) if one.page.url == url), None)

    def _from_the_end(self, cursor: int) -> SourcePage:
        if -cursor > len(self.opened):
            raise self._out_of_range(cursor)
        return self.opened[cursor].page

    def _out_of_range(self, cursor: int) -> InputError:
        return InputError(
            f"Cursor `{cursor}` is out of range. "
            f"Available cursor indices: [0 - {self.opened[-1].cursor}]."
        )


def harmless_page(page: SourcePage) -> SourcePage:
    """The page with no mark in its text that is none of its links, and no control token.

    Whoever made it, this is what the model reads, the answer cites and the record keeps.
    """
    text = "\n".join(_line(line, page.urls) for line in page.text.replace("\r\n", "\n").split("\n"))
    return replace(page, title=page_line(page.title), text=text)


def _line(line: str, urls: Mapping[str, str]) -> str:
    pieces, at = [], 0
    for link in re.finditer(r"【(\d+)†[^【】]+】", line):
        if link[1] in urls:
            pieces += [page_line(line[at : link.start()]), _link(link[0])]
            at = link.end()
    return "".join([*pieces, page_line(line[at:])])


def _link(mark: str) -> str:
    """A link's mark; what is within is text like any other."""
    return f"【{page_line(mark[1:-1])}】"
