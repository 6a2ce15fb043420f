"""A window of a page: its head, and numbered lines as many as its tokens allow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import page_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import SourcePage

    Widths = Callable[[str], Sequence[int]]

VIEW_TOKENS = 1024  # as gpt-oss's own browser shows
MOST_TOKENS = 4 * VIEW_TOKENS  # where the model asks for so many lines
MAX_TOKEN_CHARS = 128
MAX_CHARS = 1024  # of a URL, or of an error's words

FIRST_HALF = re.compile(r"^[^【】]*】")
LAST_HALF = re.compile(r"【\d*(?:†(?P<words>[^†】]*)(?:†[^†】]*)?)?$")
LINK = re.compile(r"【\d+†(?P<words>[^†】]+)(?:†[^†】]+)?】")


def shown(
    page: SourcePage, cursor: int, widths: Widths, first: int = 0, num_lines: int = -1
) -> tuple[str, int]:
    """What the model reads of a page from line `first` on, and the last line of it.

    `widths`: the length of each token of a text, in characters. Raises InputError behind its end.
    """
    lines = page.lines
    if first >= len(lines):
        raise InputError(
            f"Invalid location parameter: `{first}`. "
            f"Cannot exceed page maximum of {len(lines) - 1}."
        )
    end = _end(lines, first, num_lines, widths)
    where = shortened(unquote(page.url))
    head = f"{page.title} ({page_line(where)})" if where else page.title
    bar = f"viewing lines [{first} - {end - 1}] of {len(lines) - 1}"
    return f"[{cursor}] {head}\n**{bar}**\n\n{numbered(lines[first:end], first)}", end - 1


def numbered(lines: Sequence[str], first: int = 0) -> str:
    """`L0: text`, a line each."""
    return "\n".join(f"L{number}: {line}" for number, line in enumerate(lines, first))


def without_links(text: str) -> str:
    """The words of links in their place; halves of them, at either end of the text, too."""
    text = FIRST_HALF.sub("", text)
    text = LAST_HALF.sub(lambda found: found["words"] or "", text)
    return LINK.sub(lambda found: found["words"], text)


def shortened(text: str) -> str:
    """At most 1,024 characters, the last three of a longer one are dots."""
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}..."


def _end(lines: Sequence[str], first: int, num_lines: int, widths: Widths) -> int:
    """The line behind the window: what was asked for, as far as the tokens go."""
    limit = VIEW_TOKENS if num_lines <= 0 else MOST_TOKENS
    room = _room(numbered(lines[first:], first), limit, widths)
    num_shown = room if num_lines <= 0 else min(num_lines, room)
    return min(first + num_shown, len(lines))


def _room(text: str, limit: int, widths: Widths) -> int:
    """How many lines of `text` hold `limit` tokens, the last one whole."""
    if len(text) > limit:  # a token has a character at least
        sizes = widths(text[: (limit + 1) * MAX_TOKEN_CHARS])
        if len(sizes) > limit:
            text = text[: sum(sizes[:limit])]
    return text.count("\n") + 1
