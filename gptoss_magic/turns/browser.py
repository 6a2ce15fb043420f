"""The browser's tools for the resident model: its tokens measure the windows of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.public import public
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.agents.tools import Policy, Tool
    from gptoss_magic.records import PageSource


@public
def browser(sources: str | Sequence[Any], *, policy: Policy = "ask") -> list[Tool]:
    """`browser.search`, `.open` and `.find` as gpt-oss knows them: `generate(…, tools=browser(…))`.

    `sources`: names as `--tool browser:` takes them (an index, a folder, `site:PATH`, `zim:PATH`,
    `host:NAME`), or objects with what `records.PageSource` asks for. Pages that a conversation
    opened stay open in it. `policy="auto"` lets the model read all of these sources unasked, hosts
    too. Raises InputError, MissingPackage.
    """
    from dataclasses import replace

    given = sources.split(",") if isinstance(sources, str) else list(sources)
    return [replace(tool, policy=policy) for tool in browser_over(given)]


def browser_over(given: Sequence[Any], notebook: PageSource | None = None) -> list[Tool]:
    """The tools over sources, by name or as they are. `notebook`: what that name means here."""
    from gptoss_magic.agents.browser.tools import browser_tools
    from gptoss_magic.retrieval.pages.named import sources_named

    sources: list[PageSource] = []
    for one in given:
        sources += sources_named([one], notebook) if isinstance(one, str) else [one]
    return browser_tools(sources, token_widths)


def token_widths(text: str) -> list[int]:
    """The length of each token of a text in characters, as gpt-oss's own browser counts them."""
    codec = current().codec
    return [
        len(codec.token_bytes(token).decode("utf-8", "replace")) for token in codec.encode(text)
    ]
