"""The body of a cell: Jinja `{{ expression }}` over the notebook's names, expanded once."""

from __future__ import annotations

import re
from typing import Any

from gptoss_magic.errors import InputError, error_line

EXPRESSION = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
RAW = re.compile(r"\{%-?\s*raw\s*-?%\}(.*?)\{%-?\s*endraw\s*-?%\}", re.DOTALL)
NUMBER = re.compile(r"\s*[-+]?\d[\d_.]*\s*")
AS_TEXT = "for braces that are text: --raw, or {% raw %}…{% endraw %} around them"


def expand(body: str, names: dict[str, Any], *, is_raw: bool = False) -> str:
    """Replace each `{{ expression }}`; all other braces, JSON and LaTeX pass untouched.

    What stands between `{% raw %}` and `{% endraw %}` is text, a number between braces is too
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


def _expanded(text: str, names: dict[str, Any]) -> str:
    return EXPRESSION.sub(lambda match: _value(match[1], match[0], names), text)


def _value(expression: str, source: str, names: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined

    if NUMBER.fullmatch(expression):
        return source
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 (no HTML)
    try:
        compiled = environment.compile_expression(expression.strip(), undefined_to_none=False)
        value = compiled(**names)
        if isinstance(value, Undefined):
            raise InputError(f"{source}: the notebook has no such name; define it first; {AS_TEXT}")
        return str(value)
    except TemplateSyntaxError:
        return source
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{source}: {error_line(error)}; mend it; {AS_TEXT}") from error
