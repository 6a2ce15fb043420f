"""A cell as a Jinja template: the columns of a row and the notebook's names are its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RAW = "for braces that are text: {% raw %}{{ … }}{% endraw %}"


class RowTemplate:
    """Renders one row at a time; `row` is the whole row, for columns whose name is no name.

    Values are put in as they are and never expanded again. A value that is missing (None, NaN, NA,
    NaT) is false in a test, has `default`, and fails its row where it would be text. Sandboxed: a
    template reads values, it does not reach into the interpreter.
    Raises InputError where the template is wrong, or asks for what neither the columns nor
    `names` have.
    """

    def __init__(self, text: str, columns: Iterable[str], names: Mapping[str, Any]) -> None:
        from jinja2 import StrictUndefined, TemplateSyntaxError, meta
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
        environment.tests["none"] = is_missing
        self.text, self.columns = text, [str(column) for column in columns]
        try:
            asked = meta.find_undeclared_variables(environment.parse(text))
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise InputError(
                f"line {error.lineno} of the template: {error.message}; {RAW}"
            ) from error
        unknown = sorted(asked - {*self.columns, "row"} - set(names) - set(environment.globals))
        if unknown:
            raise InputError(
                f"{{{{ {unknown[0]} }}}}: neither a column nor a name of the notebook; the columns "
                f"are {', '.join(self.columns)}; {RAW}"
            )
        self._names = {name: names[name] for name in asked if name in names}

    def render(self, values: Iterable[Any]) -> str:
        """The prompt of one row. Raises InputError with what failed."""
        row = {
            name: _missing(name) if is_missing(value) else value
            for name, value in zip(self.columns, values, strict=True)
        }
        try:
            text = self._template.render({**self._names, "row": row, **row}).strip()
        except Exception as error:
            raise InputError(f"template: {type(error).__name__}: {error}") from error
        if not text:
            raise InputError("template: the prompt of this row is empty")
        return text


def is_missing(value: Any) -> bool:
    """True for None, NaN, pandas' NA and NaT, and for what a template has of them."""
    from jinja2 import Undefined
    from pandas import isna
    from pandas.api.types import is_scalar

    return isinstance(value, Undefined) or bool(is_scalar(value) and isna(value))


def _missing(column: str) -> Any:
    """A value that is false, has a default, and cannot become text."""
    from jinja2 import Undefined

    class Missing(Undefined):
        __slots__ = ()
        __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error  # noqa: SLF001

    hint = f"{column!r} has no value in this row; write {{{{ {column} or '' }}}} to leave it empty"
    return Missing(hint=hint, name=column)
