r"""Citations in an answer's text: each unfolds its passage where it stands, without script or id.

Before Markdown is rendered a mark `{\ue000N\ue001}` is put where each belongs; a rule of the
parser turns marks into HTML. JupyterLab strips ids and scripts, so a citation is `<details>`.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from gptoss_magic.widgets.sources import QUOTE, WARNING, passage_link, quote_html
from gptoss_magic.widgets.styles import PALE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

    from gptoss_magic.records import Citation, Passage, Support, Transcript

MARK = re.compile("\\{\ue000(\\d+)\ue001\\}")
OURS = re.compile("[\ue000\ue001]")
LINK = "color: var(--jp-content-link-color, #2f6fd0); cursor: pointer; display: inline; "
LINK += "text-decoration: underline"
DOUBTED = f"{WARNING}; cursor: pointer; display: inline; text-decoration: underline dotted"
FOUND = f"{PALE}; cursor: pointer; display: inline; "
FOUND += "border-bottom: 1px dotted; font-size: 0.9em"
PLAIN = f"{PALE}; font-style: italic; font-size: 0.9em"
FOLD = "display: inline-block; vertical-align: top; max-width: 100%"  # inline breaks the line
PARAGRAPH = "margin: 0 0 1em"
Item = tuple[str, str]


def with_marks(t: Transcript) -> tuple[str, list[Item]]:
    """The final text with marks, and for each mark (what was there, its HTML)."""
    given = {passage.number: passage for passage in t.passages}
    places = [(c.start, len(c.text), c.text, citation_html(c, given)) for c in t.citations]
    places += [(s.start + len(s.text), 0, "", support_html(s, given)) for s in t.support]
    text, at = t.final, 0
    items: list[Item] = []
    pieces: list[str] = []
    for start, length, old, html in sorted(places):
        pieces += [OURS.sub("", text[at:start]), f"{{\ue000{len(items)}\ue001}}"]
        items.append((OURS.sub("", old), OURS.sub("", html)))
        at = start + length
    return "".join([*pieces, OURS.sub("", text[at:])]), items


def citation_html(citation: Citation, given: dict[int, Passage]) -> str:
    """`[1 · lines 3–7]` that unfolds the passage; an invented one is marked."""
    if not citation.valid:
        return (
            f'<span style="{WARNING}" title="no such passage or lines were given">'
            f"{escape(citation.text)} (not a source)</span>"
        )
    lines = _lines(citation.first_line, citation.last_line)
    label = f"[{citation.number}{' · ' + lines if lines else ''}]"
    passage, within = given[citation.number], (citation.first_line or 0, citation.last_line or 0)
    if not citation.doubt:
        return _unfolding(label, "cited by the model", LINK, _quote(passage, within))
    warning = f'<span style="{WARNING}">{escape(citation.doubt)}</span>\n'
    about = f"cited by the model, but {citation.doubt}"
    return _unfolding(f"{label} (?)", about, DOUBTED, warning + _quote(passage, within))


def support_html(support: Support, given: dict[int, Passage]) -> str:
    """What comparing words found for a sentence, told apart from what the model cited."""
    if not support.number:
        about = "no three neighbouring lines of a source have most of this sentence's words"
        return f' <span style="{PLAIN}" title="{about}">(not found in the sources)</span>'
    within = (support.first_line, support.last_line)
    label = f"(found: {support.number} · {_lines(*within)})"
    about = (
        "not cited by the model; found by comparing words: "
        f"{support.found} of {support.words} stand there"
    )
    return " " + _unfolding(label, about, FOUND, _quote(given[support.number], within))


def _lines(first: int | None, last: int | None) -> str:
    if first is None:
        return ""
    return f"line {first}" if first == last else f"lines {first}–{last}"


def _unfolding(label: str, about: str, style: str, inner: str) -> str:
    return (
        f'<details class="gptoss-cite" style="{FOLD}"><summary style="{style}" '
        f'title="{escape(about)}">{escape(label)}</summary>'
        f'<div style="{QUOTE}">{inner}</div></details>'
    )


def _quote(passage: Passage, within: tuple[int, int]) -> str:
    return f"{passage_link(passage, *within)}\n{quote_html(passage, *within)}"


def mark_rule(state: StateInline, silent: bool) -> bool:
    """The parser's rule: a mark becomes a token; within a link it stays what it was."""
    found = MARK.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        items: list[Item] = state.env.get("items", [])
        old, html = items[int(found[1])] if int(found[1]) < len(items) else ("", "")
        kind = "text" if state.linkLevel else "cite"
        state.push(kind, "", 0).content = old if state.linkLevel else html
    state.pos = found.end()
    return True


def unmarked(html: str, items: Sequence[Item]) -> str:
    """What the parser left of the marks (in code) as it was before them."""
    return MARK.sub(lambda found: escape(items[int(found[1])][0]), html)


def render_cite(
    _r: RendererHTML, tokens: Sequence[Token], idx: int, _options: Any, _env: Any
) -> str:
    return str(tokens[idx].content)


def render_paragraph(
    r: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any
) -> str:
    """A `<p>`, or a `<div>` where a citation stands in it: `<details>` would end a `<p>`."""
    opens = tokens[idx].nesting > 0
    inner = tokens[idx + (1 if opens else -1)].children or ()
    if tokens[idx].hidden or not any(child.type == "cite" for child in inner):
        return str(r.renderToken(tokens, idx, options, env))
    way = ' dir="auto"' if tokens[idx].attrGet("dir") else ""
    return f'<div{way} style="{PARAGRAPH}">' if opens else "</div>\n"


CITE_RULES = {
    "cite": render_cite,
    "paragraph_open": render_paragraph,
    "paragraph_close": render_paragraph,
}
