"""Passages that an answer may cite, and what it cites."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

PAGES = "browser:"  # the index of what a model opened; no index can be called so


@dataclass(frozen=True)
class Passage:
    """A quoted piece of a source, `number` from 1 as the prompt counts it.

    `source` is a path, or `frame:NAME`; lines count from 1, both included, in the text as it was
    read. `score` ranks passages of one search only.
    """

    number: int
    index: str
    source: str
    heading: str
    first_line: int
    last_line: int
    text: str
    score: float = 0.0

    @property
    def readable_source(self) -> str:
        """The source as people read it: a page's address without its escapes."""
        return unquote(self.source) if self.index == PAGES else self.source


@dataclass(frozen=True)
class Citation:
    """What an answer refers to, `text` as it stands there from character `start` on.

    `valid`: a passage of that `number` was given, and the lines, where named, lie in it. `doubt`:
    why these lines do not bear what is said, as far as comparing words can tell; '' where they do.
    """

    text: str
    start: int
    number: int
    first_line: int | None
    last_line: int | None
    valid: bool
    doubt: str = ""


@dataclass(frozen=True)
class Support:
    """A sentence that the model did not cite, and the lines that hold its words, if any do.

    Made by comparing words, not by the model: `text` stands in the answer from `start` on; the
    lines hold `found` of its `words` different words. `number` is the passage's; 0: no lines hold
    enough. It says where to look, and proves nothing.
    """

    text: str
    start: int
    number: int
    first_line: int
    last_line: int
    found: int
    words: int
