"""Code as HTML: highlighted where Pygments knows its language, a prompt as the prose it is."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import Any

MAX_HIGHLIGHTED_CHARS = 200_000
PROSE = ("%%gptoss", "%%gptoss_persona", "%%gptoss_data")
LANGUAGES = {  # of cell magics whose body is not Python
    "%%bash": "bash",
    "%%sh": "bash",
    "%%script": "bash",
    "%%html": "html",
    "%%svg": "xml",
    "%%javascript": "js",
    "%%js": "js",
    "%%latex": "tex",
    "%%markdown": "md",
    "%%sql": "sql",
    "%%writefile": "",
    "%%file": "",
    "%%R": "r",
    "%%julia": "julia",
    "%%ruby": "ruby",
    "%%gptoss_tune": "yaml",
    "%%perl": "perl",
    "%%cython": "cython",
    "%%css": "css",
}
TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
OPTION = re.compile(r"(?<!\S)-{1,2}[a-zA-Z][\w-]*")


def source_html(source: str, language: str) -> str:
    """A code cell's source: `%%gptoss…` as its option line and prose, else a listing."""
    source = source.strip("\n")
    line, _, body = source.partition("\n")
    magic = line.split(maxsplit=1)[0] if line.strip() else ""
    if magic in PROSE:
        return f"{_option_line(line)}{_prompt(body)}"
    if magic.startswith("%%") and magic in LANGUAGES:
        return f"{_option_line(line)}{listing(body, LANGUAGES[magic])}"
    return listing(source, language)


def listing(code: str, language: str) -> str:
    """One block of code; it wraps, so that nothing has to be scrolled."""
    return f'<pre class="gp-code"><code>{highlighted(code, language)}</code></pre>\n'


def highlighted(code: str, language: str) -> str:
    """Escaped code in spans with Pygments' short classes behind `hl-`."""
    lexer = _lexer(language)
    if lexer is None or len(code) > MAX_HIGHLIGHTED_CHARS:
        return escape(code, quote=False)
    from pygments import highlight
    from pygments.formatters import HtmlFormatter

    return str(highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="hl-"))).rstrip("\n")


@cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language.lower(), stripnl=False) if language else None
    except (ClassNotFound, UnicodeError):
        return None


def _option_line(line: str) -> str:
    marked = OPTION.sub(
        lambda m: f'<span class="gp-option">{m[0]}</span>', escape(line, quote=False)
    )
    return f'<pre class="gp-options"><code>{marked}</code></pre>'


def _prompt(body: str) -> str:
    """A prompt's text as it is, with what the notebook puts into it marked."""
    if not body.strip():
        return ""
    marked = TEMPLATE.sub(
        lambda match: f'<code class="gp-value">{match[0]}</code>', escape(body, quote=False)
    )
    return f'<div class="gp-prompt" dir="auto">{marked}</div>'
