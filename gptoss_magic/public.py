"""The door for scripts: what a public function is given is checked before anything runs.

A wrong keyword, a missing argument and a wrong type are one line that says what to give, instead
of a TypeError a few rooms below. Kinds are written as annotations are: `str | Sequence[str]`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import wraps
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = TypeVar("Function", bound=Callable[..., Any])

ALIASES = {"Consent": "Callable", "Progress": "Callable", "ToolNamed": "Callable", "Policy": "str"}
SERIES = ("Sequence", "Iterable", "list", "tuple")
WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "Path": "a path",
    "Mapping": "a dict",
    "Callable": "a function",
}


def public(function: Function) -> Function:
    """`function`, whose arguments are checked against its annotations. Raises InputError."""
    signature, name = inspect.signature(function), function.__name__

    @wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        for parameter, value in _bound(name, signature, given, named):
            check_kind(f"{name}: {parameter.name}", value, str(parameter.annotation))
        return function(*given, **named)

    return cast("Function", checked)


def check_kind(what: str, value: Any, kind: str) -> None:
    """Raise InputError where `value` is not of a kind such as 'str | None' or 'Sequence[int]'."""
    if not is_kind(value, kind):
        raise InputError(f"{what} is {_shown(value)}: give {_words(kind)}")


def is_kind(value: Any, kind: str) -> bool:
    """True for a value of one of the kinds; numpy's numbers are numbers."""
    return any(_is_one(value, one) for one in _alternatives(kind))


def _bound(
    name: str, signature: inspect.Signature, given: tuple[Any, ...], named: dict[str, Any]
) -> Iterator[tuple[inspect.Parameter, Any]]:
    """(parameter, value) of each argument; the settings of `**settings` are checked where read."""
    known = list(signature.parameters.values())
    takes_any = any(one.kind is one.VAR_KEYWORD for one in known)
    names = [one.name for one in known if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if not takes_any:
        check_known(f"{name}: option", named, names)
    try:
        bound = signature.bind(*given, **named).arguments
    except TypeError as error:
        raise InputError(f"{name}: {error}") from None
    for one in known:
        values = bound.get(one.name, ()) if one.name in bound else ()
        if one.kind is one.VAR_POSITIONAL:
            yield from ((one, value) for value in values)
        elif one.name in bound and one.kind is not one.VAR_KEYWORD:
            yield one, bound[one.name]


def _is_one(value: Any, kind: str) -> bool:
    name, _, inner = kind.removesuffix("]").partition("[")
    name = ALIASES.get(name, name)
    is_flag = isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
    plain = {
        "Any": True,
        "object": True,
        "None": value is None,
        "bool": is_flag or (isinstance(value, Integral) and value in (0, 1)),
        "int": isinstance(value, Integral) and not is_flag,
        "float": isinstance(value, Real) and not is_flag,
    }
    if name in plain:
        return plain[name]
    if name == "Callable":
        return callable(value)
    if name in ("Mapping", "dict"):
        return isinstance(value, Mapping)
    if name in SERIES:
        return _is_series(value, inner or "Any")
    return any(one.__name__ == name for one in type(value).__mro__)


def _is_series(value: Any, kind: str) -> bool:
    """True for what can be gone through and is no text; its items are looked at in a list."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    return not isinstance(value, list | tuple) or all(is_kind(one, kind) for one in value)


def _alternatives(kind: str) -> list[str]:
    """The parts between bars that stand in no brackets."""
    parts, depth = [""], 0
    for letter in kind:
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _words(kind: str) -> str:
    """What to give, in words."""
    names = [one.partition("[")[::2] for one in _alternatives(kind) if one != "None"]
    said = [
        f"a list of {_plural(inner.removesuffix(']'))}" if name in SERIES else _word(name)
        for name, inner in names
    ]
    return " or ".join(dict.fromkeys(said))


def _word(name: str) -> str:
    name = ALIASES.get(name, name)
    article = "an" if name[:1] in "AEIO" else "a"
    return WORDS.get("Mapping" if name == "dict" else name, f"{article} {name}")


def _plural(kind: str) -> str:
    plurals = {"str": "texts", "int": "whole numbers", "Any": "things"}
    return plurals.get(kind, "dicts" if kind.startswith("dict") else f"{kind}s")


def _shown(value: Any) -> str:
    try:
        return f"{one_line(repr(value), 60)} ({type(value).__name__})"
    except Exception:  # noqa: BLE001 (a repr is anybody's code)
        return f"of type {type(value).__name__}"
