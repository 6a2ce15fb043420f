"""Pages that a search or a find gives, in the words that gpt-oss was trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from gptoss_magic.agents.browser.view import without_links
from gptoss_magic.quoting import link_words, page_line
from gptoss_magic.records import Snippet, SourcePage

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_FOUND, SHOWN_LINES = 50, 4
HEAD = "\nURL: \n# Search Results\n\n"
NOTHING = "No source matches."


def search_page(query: str, hits: Sequence[tuple[str, Snippet]]) -> SourcePage:
    """What was found, as (the source's name, snippet): links 0, 1, … with a few words each."""
    lines = [
        f"  * 【{number}†{link_words(hit.title)}†{link_words(name)}】 {page_line(hit.text)}"
        for number, (name, hit) in enumerate(hits)
    ]
    return SourcePage(
        url="",
        title=query,
        text=HEAD + ("\n".join(lines) or NOTHING),
        urls={str(number): hit.url for number, (_, hit) in enumerate(hits)},
        snippets={str(number): hit for number, (_, hit) in enumerate(hits)},
    )


def found_page(pattern: str, page: SourcePage) -> SourcePage:
    """Where `pattern` stands in a page, whatever its case: 50 places, four lines of each."""
    pattern = pattern.lower()
    places = _places(pattern, without_links("\n".join(page.lines)).split("\n"))
    blocks = [f"# 【{n}†{hit.title}】\n{hit.text}" for n, hit in enumerate(places)]
    hits = {str(n): replace(hit, url=page.url, title=f"#{n}") for n, hit in enumerate(places)}
    return SourcePage(
        url=f"{page.url}/find?pattern={quote(pattern)}",
        title=f"Find results for text: `{pattern}` in `{page.title}`",
        text="\n\n".join(blocks) or f"No `find` results for pattern: `{pattern}`",
        urls=dict.fromkeys(hits, page.url),
        snippets=hits,
    )


def _places(pattern: str, lines: Sequence[str]) -> list[Snippet]:
    found: list[Snippet] = []
    at = 0
    while at < len(lines) and len(found) < MOST_FOUND:
        if pattern not in lines[at].lower():
            at += 1
            continue
        text = "\n".join(lines[at : at + SHOWN_LINES])
        found.append(Snippet("", f"match at L{at}", text, at))
        at += SHOWN_LINES
    return found
