"""Markdown of a notebook's cells and outputs as HTML, which goes through the cleaner."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from gptoss_magic.sharing.pages.listing import listing
from gptoss_magic.sharing.pages.maths import MATHS, WITHIN_LINES, mathml_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

TITLE = re.compile(r"\s*#[ \t]+(?P<title>[^\n]+?)[ \t#]*(?:\n|\Z)")
SIGN = '<span class="tex2jax_ignore">$</span>'  # a dollar sign that begins no maths
BOX = re.compile(r"\[([ xX])\][ \t]+")


def markdown_html(text: str) -> str:
    """The text as HTML; raw HTML in it stays, so that only a cleaner may take the result."""
    return str(_parser().render(text))


def inline_html(text: str) -> str:
    """One line, such as a title, without a paragraph around it."""
    return str(_parser().renderInline(text))


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    class NotebookMarkdown(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802
            return True  # the cleaner looks at each

    md = NotebookMarkdown("commonmark", {"html": True}).enable(["table", "strikethrough"])
    md.inline.ruler.before("escape", "maths", _maths_inline)
    stops = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    md.block.ruler.before("fence", "maths", _maths_block, stops)  # type: ignore[arg-type]
    md.core.ruler.push("gptoss_page", _anchors_and_boxes)
    for name, rule in RULES.items():
        md.add_render_rule(name, rule)
    return md


def _maths_inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    match = MATHS.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("maths", "", 0).content = mathml_of(match)
    state.pos = match.end()
    return True


def _maths_block(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Display maths over several lines, whatever list marks or blank lines they hold."""
    start = state.bMarks[first] + state.tShift[first]
    if state.is_code_block(first) or state.src[start : start + 1] not in ("$", "\\"):
        return False
    match = MATHS.match(state.src, start, state.eMarks[end - 1])
    if match is None or any(match[form] is not None for form in WITHIN_LINES):
        return False
    last = next(line for line in range(first, end) if state.eMarks[line] >= match.end())
    if state.src[match.end() : state.eMarks[last]].strip(" .,;"):
        return False
    if not silent:
        state.push("maths_block", "", 0).content = f"<p>{mathml_of(match)}</p>\n"
        state.line = last + 1
    return True


def _anchors_and_boxes(state: StateCore) -> None:
    """Headings get the ids that links of notebooks use; `[x]` at an item's start is a box."""
    for before, token in zip(state.tokens, state.tokens[1:], strict=False):
        if token.type != "inline":
            continue
        if before.type == "heading_open":
            before.attrSet("id", re.sub(r"\s+", "-", token.content.strip()))
        first = token.children[0] if token.children else None
        box = BOX.match(first.content) if first is not None and first.type == "text" else None
        if box is not None and first is not None and before.type == "paragraph_open":
            mark = "☐ " if box[1] == " " else "☑ "
            first.content = mark + first.content[box.end() :]


def _content(_r: RendererHTML, tokens: Sequence[Token], index: int, _o: Any, _env: Any) -> str:
    return tokens[index].content


def _text(_r: RendererHTML, tokens: Sequence[Token], index: int, _o: Any, _env: Any) -> str:
    return escape(tokens[index].content, quote=False).replace("$", SIGN)


def _code(_r: RendererHTML, tokens: Sequence[Token], index: int, _o: Any, _env: Any) -> str:
    words = tokens[index].info.split()
    return listing(tokens[index].content.rstrip("\n"), words[0] if words else "")


RULES = {"maths": _content, "maths_block": _content, "text": _text, "fence": _code}
RULES["code_block"] = _code
