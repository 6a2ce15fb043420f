"""Where HTML of others comes from, and what it shares with the rest of its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.sharing.pages.sheets import Sheets


@dataclass
class Headings:
    """Levels as they come, without a step down of more than one; the page's title is the first."""

    level: int = 1

    def next(self, wanted: int) -> int:
        """The level from 2 to 6 for a heading that wanted this one."""
        self.level = min(6, max(2, min(wanted + 1, self.level + 1)))
        return self.level


@dataclass(frozen=True)
class Origin:
    """Where HTML comes from. `picture` gives an address of its own for an image's, or ''."""

    prefix: str  # before each id, and the id of the element around it
    sheets: Sheets
    headings: Headings
    picture: Callable[[str], str] = lambda source: ""
    typeset: Callable[[str], str] | None = None  # text with maths in it, as HTML
