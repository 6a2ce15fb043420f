"""A cell as a Jinja template: the columns of a row and the notebook's names are its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from gptoss_magic.errors import InputError, error_line
from gptoss_magic.quoting import printable
from gptoss_magic.textfiles import BYTE_ORDER_MARK

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
        self._aliases = _aliases(self.columns)
        try:
            asked = meta.find_undeclared_variables(environment.parse(text))
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise InputError(
                f"line {error.lineno} of the template: {error.message}; {RAW}"
            ) from error
        mine = {*self.columns, *self._aliases, "row"}
        unknown = sorted(asked - mine - set(names) - set(environment.globals))
        if unknown:
            raise InputError(
                f"{{{{ {unknown[0]} }}}}: neither a column nor a name of the notebook; the columns "
                f"are {', '.join(map(printable, self.columns))}; {RAW}"
            )
        self._names = {name: names[name] for name in asked if name in names}

    def render(self, values: Iterable[Any]) -> str:
        """The prompt of one row. Raises InputError with what failed."""
        row = _Row(
            (name, _missing(name) if is_missing(value) else value)
            for name, value in zip(self.columns, values, strict=True)
        )
        also = {name: row[column] for name, column in self._aliases.items()}
        try:
            text = self._template.render({**self._names, "row": row, **also, **row}).strip()
        except Exception as error:
            raise InputError(
                f"template: {error_line(error)}; mend that line, or the row"
            ) from error
        if not text:
            raise InputError(
                "template: the prompt of this row is empty; write words around its columns"
            )
        return text


class _Row(dict[str, Any]):
    """A row by its columns' names; labels that are no text (numbers, dates) reach them as well."""

    def __missing__(self, label: Any) -> Any:
        if isinstance(label, str) or str(label) not in self:
            raise KeyError(label)
        return self[str(label)]


def _aliases(columns: list[str]) -> dict[str, str]:
    """Other names of columns: without a byte order mark and blanks, full-width letters as plain."""
    plain = {normalize("NFKC", name).strip(f"{BYTE_ORDER_MARK} \t\r\n"): name for name in columns}
    return {name: column for name, column in plain.items() if name and name not in columns}


def is_missing(value: Any) -> bool:
    """True for None, NaN, NA, NaT, a masked value, Arrow's null, and a template's own."""
    from jinja2 import Undefined
    from pandas import isna
    from pandas.api.types import is_scalar

    if isinstance(value, Undefined) or type(value).__name__ == "MaskedConstant":
        return True
    if type(value).__module__.startswith("pyarrow.") and hasattr(value, "is_valid"):
        return not value.is_valid
    return bool(is_scalar(value) and isna(value))


def _missing(column: str) -> Any:
    """A value that is false, has a default, and cannot become text."""
    from jinja2 import Undefined

    class Missing(Undefined):
        __slots__ = ()
        __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error  # noqa: SLF001

    asked = column if column.isidentifier() else f"row[{column!r}]"
    hint = f"{column!r} has no value in this row; write {{{{ {asked} or '' }}}} to leave it empty"
    return Missing(hint=hint, name=column)
