"""HTML of any kind as tokens, in time that grows with its length.

It reads as browsers do where that matters: attributes in any quotes, elements whose content is no
markup, comments and tags that never end. `html.parser` takes quadratic time for some of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TAG = re.compile(
    r"""<!--(?:-?>|.*?(?:--!?>|\Z))
      | <(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+)
        (?P<attributes>(?:[^>"'=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s>"'][^\s>]*+)?|["'])*+)
        (?P<closed>>)?
      | <[!?/][^>]*+>?""",
    re.DOTALL | re.VERBOSE,
)
ATTRIBUTE = re.compile(
    r"""(?P<name>=?[^\s/>=]++)(?:\s*+=\s*+(?:"(?P<double>[^"]*+)"?|'(?P<single>[^']*+)'?|(?P<bare>[^\s>]++))?)?""",
    re.DOTALL,
)
# elements whose content is text to the first end tag of their own
RAW = {"script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title"}


@dataclass(frozen=True)
class Text:
    """Characters, entities resolved."""

    text: str


@dataclass(frozen=True)
class Start:
    """A start tag; the first of two attributes of one name counts.

    `raw`: the content of an element that has text only, None of others; `is_cut`: it has no end.
    """

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    is_closed: bool = False
    raw: str | None = None
    is_cut: bool = False


@dataclass(frozen=True)
class End:
    """An end tag."""

    name: str


Token = Text | Start | End


def tokens(html: str) -> Iterator[Token]:
    """Texts and tags in order; comments, declarations and a tag without end are left out."""
    at = 0
    while (match := TAG.search(html, at)) is not None:
        if match.start() > at:
            yield Text(unescape(html[at : match.start()]))
        at = match.end()
        if match["name"] is None or match["closed"] is None:
            continue
        name = match["name"].lower()
        if match["end"]:
            yield End(name)
            continue
        is_closed = match["attributes"].endswith("/")
        start = Start(name, attributes(match["attributes"]), is_closed)
        if name in RAW:
            end = _end_of(html, at, name)
            raw = html[at : end.start()] if end else html[at:]
            start, at = replace(start, raw=raw, is_cut=end is None), end.end() if end else len(html)
        yield start
    if at < len(html):
        yield Text(unescape(html[at:]))


def attributes(text: str) -> dict[str, str]:
    """`a=1 b="2" c` as {name in lower case: value}."""
    values: dict[str, str] = {}
    for match in ATTRIBUTE.finditer(text):
        value = match["double"] or match["single"] or match["bare"] or ""
        values.setdefault(match["name"].lower(), unescape(value))
    return values


def _end_of(html: str, at: int, name: str) -> re.Match[str] | None:
    """The end tag of an element of text."""
    return re.compile(rf"</{name}(?=[\s/>])[^>]*+>", re.IGNORECASE).search(html, at)
