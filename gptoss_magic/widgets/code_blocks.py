"""A block of code that a model wrote as static HTML, with the colours of the editor's theme."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.widgets.styles import GROUND

if TYPE_CHECKING:
    from collections.abc import Iterator

BOX = (
    f"background: {GROUND}; border-radius: 4px; "
    "padding: 8px 12px; margin: 8px 0; overflow-x: auto; white-space: pre; "
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
)
MAX_HIGHLIGHTED_CHARS = 100_000
# Pygments token, a variable of the theme that reads well on `BOX` (the editor's for comments and
# decorators do not), a fallback with 4:1 contrast on white and on black.
CODE_COLOURS = (
    ("Comment", "--jp-ui-font-color2", "#767676"),
    ("Keyword", "--jp-mirror-editor-keyword-color", "#2e8540"),
    ("Operator.Word", "--jp-mirror-editor-keyword-color", "#2e8540"),
    ("Literal.String", "--jp-mirror-editor-string-color", "#c4453c"),
    ("Literal.Number", "--jp-mirror-editor-number-color", "#2e8540"),
    ("Name.Builtin", "--jp-mirror-editor-builtin-color", "#2e8540"),
    ("Name.Function", "--jp-mirror-editor-def-color", "#3b7dd8"),
    ("Name.Class", "--jp-mirror-editor-def-color", "#3b7dd8"),
    ("Name.Decorator", "--jp-mirror-editor-operator-color", "#a259d9"),
)


def code_html(code: str, language: str = "") -> str:
    """One code block, highlighted where Pygments knows the language."""
    name = re.sub(r"[^\w+#.-]", "", language)
    label = f' class="language-{escape(name)}"' if name else ""
    body = "".join(_coloured(code, name))
    return (
        f'<pre dir="ltr" tabindex="0" style="{BOX}"><code{label} style="background: none">{body}'
        "</code></pre>\n"
    )


def _coloured(code: str, language: str) -> Iterator[str]:
    """Pieces of escaped code, in spans where the editor's theme has a colour for them."""
    from pygments import lex
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        lexer = None
    if lexer is None or len(code) > MAX_HIGHLIGHTED_CHARS:
        yield escape(code)
        return
    for token, text in lex(code, lexer):
        style = _token_style(str(token))
        yield f'<span style="{style}">{escape(text)}</span>' if style else escape(text)


@cache
def _token_style(token: str) -> str:
    for name, variable, fallback in CODE_COLOURS:
        if token.startswith(f"Token.{name}"):
            return f"color: var({variable}, {fallback})"
    return ""
