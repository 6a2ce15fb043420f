"""The body of a cell: Jinja `{{ expression }}` over the notebook's names, expanded once."""

from __future__ import annotations

import re
from typing import Any

from gptoss_magic.errors import InputError

EXPRESSION = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)


def expand(body: str, names: dict[str, Any]) -> str:
    """Replace each `{{ expression }}`; all other braces, JSON and LaTeX pass untouched.

    Values are put in as they are and never expanded again. Raises InputError where an
    expression is wrong or a name is unknown.
    """
    return EXPRESSION.sub(lambda found: _value(found[1].strip(), found[0], names), body)


def _value(expression: str, source: str, names: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined

    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 (no HTML)
    try:
        value = environment.compile_expression(expression, undefined_to_none=False)(**names)
        if isinstance(value, Undefined):
            raise InputError(f"{source}: the notebook has no such name; define it first")
        return str(value)
    except TemplateSyntaxError:
        return source
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{source}: {type(error).__name__}: {error}; mend it") from error
