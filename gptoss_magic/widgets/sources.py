"""The sources of an answer: file, heading and lines, the quoted text folded below each.

Sources are untrusted: everything is escaped, nothing is linked or fetched.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Citation, Passage

QUOTE = (
    "white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0 8px 12px; padding-left: 10px; "
    "border-left: 3px solid var(--jp-border-color1, #8888); "
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
)
MUTED = "color: var(--jp-ui-font-color2, #767676); font-size: 0.9em"
WARNING = "color: var(--jp-error-color1, #d03c3c)"


def sources_html(passages: Sequence[Passage], citations: Sequence[Citation] | None = None) -> str:
    """A foldable entry for each passage; invented citations below. None: passages alone."""
    counts = _counts(citations)
    entries = "".join(
        f'<details><summary style="cursor: pointer" title="{escape(passage.source)}">'
        f"{escape(passage_line(passage))}{_cited(counts, passage)}</summary>"
        f'<div style="{QUOTE}">{escape(passage.text)}</div></details>'
        for passage in passages
    )
    invented = invented_line(citations or ())
    warning = f'<div style="{WARNING}">{escape(invented)}</div>' if invented else ""
    title = f'<div style="{MUTED}">Sources</div>' if passages else ""
    return f'<div class="gptoss-sources" style="margin-top: 8px">{title}{entries}{warning}</div>'


def sources_text(
    passages: Sequence[Passage],
    citations: Sequence[Citation] | None = None,
    *,
    quotes: bool = False,
) -> str:
    """The same in lines of text; with `quotes`, each passage's text below its line."""
    counts = _counts(citations)
    lines = ["Sources:"] if passages else []
    for passage in passages:
        lines.append(f"{passage_line(passage)}{_cited(counts, passage)}")
        if quotes:
            lines += [f"    {line}" for line in passage.text.split("\n")]
    return "\n".join(filter(None, [*lines, invented_line(citations or ())]))


def passage_line(passage: Passage) -> str:
    """`[1] guide.md · Title > Section · lines 3–7`."""
    name = PurePath(passage.source).name
    first, last = passage.first_line, passage.last_line
    lines = f"line {first}" if first == last else f"lines {first}–{last}"
    return f"[{passage.number}] " + " · ".join(filter(None, (name, passage.heading, lines)))


def invented_line(citations: Sequence[Citation]) -> str:
    """Which citations name nothing that was given; empty where there is none."""
    invented = dict.fromkeys(citation.text for citation in citations if not citation.valid)
    return f"Not among the sources: {', '.join(invented)}" if invented else ""


def _counts(citations: Sequence[Citation] | None) -> Counter[int] | None:
    if citations is None:
        return None
    return Counter(citation.number for citation in citations if citation.valid)


def _cited(counts: Counter[int] | None, passage: Passage) -> str:
    return " · cited" if counts is not None and counts[passage.number] else ""
