"""The body of a cell: Jinja `{{ expression }}` over the notebook's names, expanded once."""

from __future__ import annotations

import re
import sys
from numbers import Real
from typing import Any

from gptoss_magic.errors import InputError, error_line

EXPRESSION = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}(.*?)\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)
# LaTeX has numbers between two braces, and sums of them: without blanks, as in ^{{1/2}}
NUMBERS = re.compile(r"\s*[-+]?\d[\d_.,\s]*|[\d_.,()+*/%<>=^-]+")
AS_TEXT = "for braces that are text: --raw, or {% raw %}…{% endraw %} around them"


def expand(body: str, names: dict[str, Any], *, is_raw: bool = False) -> str:
    """Replace each `{{ expression }}`; all other braces, JSON and LaTeX pass untouched.

    What stands between `{% raw %}` and `{% endraw %}` is text, numbers between braces are too
    (LaTeX has them), and all of it where the cell `is_raw`. Values are put in as they are and never
    expanded again. Raises InputError where an expression is wrong or a name is unknown.
    """
    if is_raw:
        return body
    parts, end = [], 0
    for block in RAW.finditer(body):
        parts += [_expanded(body[end : block.start()], names), block[1]]
        end = block.end()
    return "".join([*parts, _expanded(body[end:], names)])


def own_text(body: str, *, is_raw: bool = False) -> str:
    """What the user typed: the body with a mark, which no word is, for each value put into it."""
    if is_raw:
        return body
    parts, end = [], 0
    for block in RAW.finditer(body):
        parts += [_typed(body[end : block.start()]), block[1]]
        end = block.end()
    return "".join([*parts, _typed(body[end:])])


def _typed(text: str) -> str:
    return EXPRESSION.sub(lambda one: one[0] if NUMBERS.fullmatch(one[1]) else " \0 ", text)


def _expanded(text: str, names: dict[str, Any]) -> str:
    return EXPRESSION.sub(lambda match: _value(match[1], match[0], names), text)


def _value(expression: str, source: str, names: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined
    from jinja2.runtime import TemplateReference

    if NUMBERS.fullmatch(expression):
        return source
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 (no HTML)
    environment.globals = {"range": range}  # its others: a cell means the notebook's names
    try:
        compiled = environment.compile_expression(expression.strip(), undefined_to_none=False)
        value = compiled(names)
        if isinstance(value, TemplateReference):
            value = names.get("self", environment.undefined(name="self"))
        if isinstance(value, Undefined) or (value is range and "range" not in names):
            raise InputError(f"{source}: the notebook has no such name; define it first; {AS_TEXT}")
        if is_missing(value):
            raise InputError(f"{source}: it is {value!s}, no text; {_instead(value, expression)}")
        return str(value)
    except TemplateSyntaxError:
        return source
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{source}: {error_line(error)}; mend it; {AS_TEXT}") from error


def is_missing(value: Any) -> bool:
    """True for None, NaN, pandas' NA and NaT: as a text they would be asked as a word."""
    if value is None or (isinstance(value, Real) and value != value):  # noqa: PLR0124 (NaN)
        return True
    if "pandas" not in sys.modules:  # whose values are only there where it is
        return False
    from gptoss_magic.turns.rows.template import is_missing as is_missing_cell

    return is_missing_cell(value)


def _instead(value: Any, expression: str) -> str:
    """What to write. NaN is true for Python, so that `or` helps with None only."""
    asked = expression.strip()
    if value is not None:
        return "give it a value, or '' to leave it empty"
    asked = asked if asked.isidentifier() else f"({asked})"
    return f"write {{{{ {asked} or '' }}}} to leave it empty"
