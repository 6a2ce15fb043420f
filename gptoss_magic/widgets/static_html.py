"""Answers as static HTML and text: what stays in the notebook when the stream is over.

Everything is inline and needs no script. JupyterLab removes scripts and style sheets from the
output of untrusted notebooks, and nbconvert may drop its theme, so structure alone must read well:
`<details>`, paragraphs and `<pre>`. Colours are `--jp-*` variables with fallbacks that can be read
on white and on black. Model text is untrusted: no raw HTML, no images, links to the web only.
"""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from gptoss_magic.widgets.citations import CITE_RULES, mark_rule, unmarked, with_marks
from gptoss_magic.widgets.code_blocks import code_html
from gptoss_magic.widgets.sources import sources_html, sources_text
from gptoss_magic.widgets.steps import steps_html, steps_text
from gptoss_magic.widgets.styles import MUTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

    from gptoss_magic.records import ToolCall, Transcript, Usage

FINISH_WORDS = {
    "return": "finished",
    "call": "called a tool",
    "stop": "stopped at a stop string",
    "length": "cut at the token limit",
    "interrupt": "interrupted",
    "limit": "stopped at the limit of the run",
}
RULE = "border-left: 3px solid var(--jp-border-color1, #8888); padding-left: 12px"
MATH_INLINE = re.compile(
    r"\$\$.+?\$\$|\$(?![\s$])(?:\\.|[^$\\])+?(?<!\s)\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL
)
MATH_BLOCK = re.compile(r"\$\$.+?\$\$|\\\[.+?\\\]", re.DOTALL)
WEB_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)


def transcript_html(t: Transcript) -> str:
    """The answer as self-contained HTML: reasoning folded, final rendered, counts below."""
    parts = [
        steps_html(t.steps) if t.steps else "",
        _reasoning(t),
        _commentary(t.commentary),
        f'<div class="gptoss-final">{_final_html(t)}</div>' if t.final.strip() else "",
        *map(_tool_call_html, t.tool_calls),
        sources_html(t.passages, t.citations) if t.passages or t.citations else "",
        _line(f"<em>{escape(t.note)}</em>") if t.note else "",
        _line(escape(meta_line(t))) if meta_line(t) else "",
    ]
    return '<div class="gptoss-answer">\n' + "\n".join(filter(None, parts)) + "\n</div>"


def transcript_text(t: Transcript) -> str:
    """The answer as plain text, in the same order as the HTML."""
    parts = [
        steps_text(t.steps),
        f"{reasoning_label(t)}\n{_indented(t.analysis)}" if t.analysis.strip() else "",
        _indented(t.commentary) if t.commentary.strip() else "",
        t.final.strip(),
        *map(tool_call_text, t.tool_calls),
        sources_text(t.passages, t.citations, t.support),
        f"Note: {t.note}" if t.note else "",
        f"[{meta_line(t)}]" if meta_line(t) else "",
    ]
    return "\n\n".join(filter(None, parts))


def reasoning_label(t: Transcript) -> str:
    """`Reasoning · 34 tokens · 2.1 s`; without a count the length in words."""
    if t.usage is None or t.steps:  # of a run, the counts are those of all turns
        return f"Reasoning · {_count(len(t.analysis.split()), 'word')}"
    tokens = _count(t.usage.analysis_tokens, "token")
    return f"Reasoning · {tokens} · {t.usage.analysis_s:.1f} s"


def meta_line(t: Transcript) -> str:
    """Model, counts, speed, stop reason and repairs in one line; empty if nothing is known."""
    words = [t.model] if t.model else []
    words += _usage_words(t.usage) if t.usage else []
    words += [FINISH_WORDS.get(t.finish, t.finish)] if t.finish else []
    words += [f"{_count(len(t.repairs), 'repair')} of the headers"] if t.repairs else []
    return " · ".join(words)


def tool_call_text(call: ToolCall) -> str:
    """`name({...})` with the arguments as indented JSON, or as they came if they are not JSON."""
    if call.arguments is None:
        return f"{call.name}({call.raw})"
    return f"{call.name}({json.dumps(call.arguments, indent=2, ensure_ascii=False)})"


def markdown_html(text: str) -> str:
    """Render Markdown that a model wrote; TeX stays as written for the page's MathJax."""
    return str(_parser().render(text)).strip()


def _final_html(t: Transcript) -> str:
    text, items = with_marks(t)
    return unmarked(str(_parser().render(text, {"items": items})).strip(), items)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _usage_words(u: Usage) -> list[str]:
    cached = f" ({u.cached_tokens:,} cached)" if u.cached_tokens else ""
    words = [
        _count(u.prompt_tokens, "prompt token") + cached,
        _count(u.completion_tokens, "completion token"),
        f"first token {u.first_token_s:.2f} s",
    ]
    return [*words, f"{u.tokens_per_s:.1f} tokens/s"] if u.tokens_per_s else words


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.strip().splitlines())


def _paragraphs(text: str) -> str:
    """Plain text as paragraphs and line breaks, which survive without any style."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "".join(
        f'<p dir="auto">{escape(block).replace(chr(10), "<br>")}</p>' for block in blocks
    )


def _line(inner: str) -> str:
    return f'<div style="{MUTED}; margin-top: 6px">{inner}</div>'


def _reasoning(t: Transcript) -> str:
    if not t.analysis.strip():
        return ""
    return (
        f'<details class="gptoss-analysis"><summary style="{MUTED}; cursor: pointer">'
        f"{escape(reasoning_label(t))}</summary>"
        f'<div style="{RULE}; {MUTED}">{_paragraphs(t.analysis)}</div></details>'
    )


def _commentary(text: str) -> str:
    if not text.strip():
        return ""
    return f'<div class="gptoss-commentary" style="{RULE}">{markdown_html(text)}</div>'


def _tool_call_html(call: ToolCall) -> str:
    label = f'<span style="{MUTED}">Tool call</span>'
    return f'<div class="gptoss-call">{label}{code_html(tool_call_text(call), "js")}</div>'


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    class ModelMarkdown(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802
            return WEB_LINK.match(url) is not None

    md = ModelMarkdown("commonmark", {"html": False}).enable(["table", "strikethrough"])
    md.inline.ruler.before("escape", "math", _math_inline)
    md.inline.ruler.before("escape", "cite", mark_rule)
    md.core.ruler.push("direction", _directed)
    stops: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    md.block.ruler.before("fence", "math", _math_block, stops)
    for name, rule in RENDER_RULES.items():
        md.add_render_rule(name, rule)
    return md


def _directed(state: StateCore) -> None:
    """Each outermost block is written in the direction of its own first letters."""
    for token in state.tokens:
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")


def _math_inline(state: StateInline, silent: bool) -> bool:
    found = MATH_INLINE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("math", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _math_block(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Display maths over several lines, whatever list marks or blank lines they hold."""
    start = state.bMarks[first] + state.tShift[first]
    found = MATH_BLOCK.match(state.src, start, state.eMarks[end - 1])
    if found is None or state.is_code_block(first):
        return False
    last = next(line for line in range(first, end) if state.eMarks[line] >= found.end())
    if state.src[found.end() : state.eMarks[last]].strip(" .,;"):
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content = state.src[start : state.eMarks[last]]
        state.line = last + 1
    return True


def _render_code(
    _r: RendererHTML, tokens: Sequence[Token], idx: int, _options: Any, _env: Any
) -> str:
    words = tokens[idx].info.split()
    return code_html(tokens[idx].content.rstrip("\n"), words[0] if words else "")


def _render_math(
    _r: RendererHTML, tokens: Sequence[Token], idx: int, _options: Any, _env: Any
) -> str:
    return escape(tokens[idx].content, quote=False)


def _render_math_block(
    _r: RendererHTML, tokens: Sequence[Token], idx: int, _options: Any, _env: Any
) -> str:
    return f"<p>{escape(tokens[idx].content, quote=False)}</p>\n"


def _render_image(
    _r: RendererHTML, tokens: Sequence[Token], idx: int, _options: Any, _env: Any
) -> str:
    """A link in place of the image: showing an answer must not fetch anything."""
    source = escape(str(tokens[idx].attrs.get("src", "")))
    text = escape(tokens[idx].content or "image")
    return f'<a href="{source}" rel="noopener noreferrer" target="_blank">{text}</a>'


def _render_link(r: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
    tokens[idx].attrSet("target", "_blank")
    tokens[idx].attrSet("rel", "noopener noreferrer")
    return str(r.renderToken(tokens, idx, options, env))


RENDER_RULES = {
    "fence": _render_code,
    "code_block": _render_code,
    "math": _render_math,
    "math_block": _render_math_block,
    "image": _render_image,
    "link_open": _render_link,
    **CITE_RULES,
}
