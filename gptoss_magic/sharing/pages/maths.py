"""LaTeX as MathML, which browsers show without a script. What cannot be read stays as text."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape, unescape

# $$…$$, $…$ (no blank inside its ends and no digit behind: prices), \\(…\\), \\[…\\], and
# the environments that are maths by themselves
MATHS = re.compile(
    r"\$\$(?P<block>(?:[^$\\]|\\.)+)\$\$"
    r"|(?<![\\$\w])\$(?![\s$])(?P<inline>(?:[^$\\]|\\.)+)(?<!\s)\$(?![\d$])"
    r"|(?<!\\)\\\((?P<round>(?:[^\\]|\\[^()])+)\\\)|\\\\\((?P<round2>(?:[^\\]|\\(?!\\[()]))+)\\\\\)"
    r"|(?<!\\)\\\[(?P<square>(?:[^\\]|\\[^\[\]])+)\\\]"
    r"|\\\\\[(?P<square2>(?:[^\\]|\\(?!\\[\[\]]))+)\\\\\]"
    r"|(?P<environment>\\begin\{(?P<kind>equation|align|gather|eqnarray|multline|alignat)"
    r"(?P<star>\*?)\}(?:(?!\\(?:begin|end)\{(?P=kind)).)+\\end\{(?P=kind)(?P=star)\})",
    re.DOTALL,
)
FORMS = ("block", "inline", "round", "round2", "square", "square2", "environment")
WITHIN_LINES = ("inline", "round", "round2")
# environments that the converter does not know, as those that it does
SAME_AS = (
    (r"\\(begin|end)\{(aligned|split|eqnarray\*?|alignedat|flalign\*?|align)\}", r"\\\1{align*}"),
    (r"\\(begin|end)\{(gathered|gather\*?|multline\*?)\}", r"\\\1{matrix}"),
    (r"\\(begin|end)\{equation\*?\}", ""),
    (r"\\(label|tag)\*?\{[^{}]*\}|\\(nonumber|notag)(?![a-zA-Z])|\\ensuremath(?![a-zA-Z])", ""),
    (r"\\(dfrac|tfrac)(?![a-zA-Z])", r"\\frac"),
    (
        r"\\(href|style|class|cssId|html\w+|require|def|let|(re)?newcommand|DeclareMathOperator)",
        r"\\?",
    ),
)
UNREAD = re.compile(r"<m[ions][^>]*>\\.|<mi>&</mi>|<m(frac|sup|sub|over|under)>\s*</")
MAX_TEX_CHARS, MAX_DEPTH = 10_000, 40


def typeset(text: str) -> str:
    """Text with maths in it as HTML: the maths as MathML, the rest escaped."""
    parts, at = [], 0
    for match in MATHS.finditer(text) if "$" in text or "\\" in text else ():
        parts += [escape(text[at : match.start()], quote=False), mathml_of(match)]
        at = match.end()
    return "".join([*parts, escape(text[at:], quote=False)])


def mathml_of(match: re.Match[str]) -> str:
    """What MATHS found, as MathML; as it is written where it cannot be read."""
    form = next(name for name in FORMS if match[name] is not None)
    return mathml(match[form], is_block=form not in WITHIN_LINES) or as_written(match[0])


def as_written(tex: str) -> str:
    """LaTeX that nothing could read."""
    return f'<code class="unread-tex" title="LaTeX">{escape(tex, quote=False)}</code>'


@lru_cache(maxsize=4096)
def mathml(tex: str, *, is_block: bool) -> str:
    """A `<math>` element; '' for LaTeX that is broken or has commands that are not known."""
    from latex2mathml.converter import convert

    if len(tex) > MAX_TEX_CHARS or not _is_balanced(tex):
        return ""
    for pattern, other in SAME_AS:
        tex = re.sub(pattern, other, tex)
    if r"\?" in tex or not tex.strip():
        return ""
    display = "block" if is_block else "inline"
    is_tall = is_block or r"\displaystyle" in tex  # limits stand above and below
    try:
        math = convert(tex, display="block" if is_tall else "inline")
    except Exception:  # noqa: BLE001 (it raises whatever it stumbles over)
        return ""
    if UNREAD.search(math):
        return ""
    attribute = f' alttext="{escape(tex.strip())}"'
    math = _escaped(math).replace('display="block"', f'display="{display}"', 1)
    return math.replace("<math", f"<math{attribute}", 1)


def _escaped(math: str) -> str:
    """The converter leaves `&` and, in text, `<` as they are: escaped once, tags aside."""
    pieces = re.split(r"(</?m[a-z]+(?:\s[^<>]*)?>)", math)
    return "".join(
        piece if index % 2 else escape(unescape(piece), quote=False)
        for index, piece in enumerate(pieces)
    )


def _is_balanced(tex: str) -> bool:
    depth = 0
    for sign in re.findall(r"\\.|[{}]", tex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if not 0 <= depth <= MAX_DEPTH:
            return False
    return depth == 0
