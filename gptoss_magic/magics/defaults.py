"""What prompts use where their line says nothing: read and changed as plain values, by name.

The traits of `GptOssMagics` hold all but the adapters, which stand on the session's shelf, and
the persona, which the session names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.session import current
from gptoss_magic.vocabulary import SAMPLER, Range, check_effort

if TYPE_CHECKING:
    from collections.abc import Callable


def optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """None and empty text are None; the rest is checked."""
    return lambda value: None if value is None or value == "" else check(value)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def scales(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise TypeError("adapters by name, each with its scale")
    return {text(name): SCALE.check(scale) for name, scale in value.items()}


SCALE = Range("scale", -math.inf, "a number")
CHECKS: dict[str, Callable[[Any], Any]] = {
    **{name: SAMPLER[name].check for name in ("top_p", "top_k", "max_tokens")},
    **{name: optional(SAMPLER[name].check) for name in ("temperature", "seed")},
    "effort": check_effort,
    "system": optional(text),
    "rag": optional(text),
    "routing": flag,
    "persona": optional(text),
    "adapters": scales,
}
TRAITS = tuple(name for name in CHECKS if name not in ("persona", "adapters"))


def values(magics: Any) -> dict[str, Any]:
    """Every setting by name: `persona` with its overlays as `a+b`, `adapters` with their scales."""
    traits = {name: getattr(magics, name) for name in TRAITS}
    persona = "+".join(current().persona) or None
    return {**traits, "persona": persona, "adapters": used_adapters()}


def used_adapters() -> dict[str, float]:
    """The adapters that prompts use, with their scales."""
    session = current()
    shelf = session.shelf if session.loaded else None
    return {name: shelf.held[name].scale for name in shelf.default} if shelf else {}


def all_scales() -> dict[str, float]:
    """Every attached adapter, with its scale."""
    session = current()
    if session.loaded is None:
        return {}
    return {name: held.scale for name, held in session.shelf.held.items()}


def put(magics: Any, name: str, value: Any) -> None:
    """Change one setting, for the prompts that start from now on. Raises InputError."""
    if name not in CHECKS:
        raise InputError(f"{name}: no such setting; there are {', '.join(CHECKS)}")
    try:
        checked = CHECKS[name](value)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{name.replace('_', ' ')} {value!r}: give {error}") from None
    if name == "adapters":
        put_adapters(checked)
    elif name == "persona":
        put_persona(checked)
    else:
        setattr(magics, name, checked)


def put_persona(names: str | None) -> None:
    """Use this persona, `a+b`: b laid over a; None: no persona. Raises InputError."""
    wanted = tuple(names.split("+")) if names else ()
    current().layers(wanted)
    current().persona = wanted


def put_adapters(wanted: dict[str, float]) -> None:
    """Use these adapters, at these scales, and no others. Raises InputError, changing nothing."""
    session = current()
    if not wanted and session.loaded is None:
        return
    session.check_idle()
    names = tuple(wanted) or ("none",)
    session.shelf.chosen(names)
    before = all_scales()
    try:
        for name, scale in wanted.items():
            session.shelf.rescale(name, scale)
    except InputError:
        for name in wanted:
            session.shelf.held[name].scale = before[name]
        raise
    session.shelf.use(names)


def put_all(magics: Any, wanted: dict[str, Any]) -> list[str]:
    """Change what can be changed; what is wrong with the rest, a line each."""
    wrong = []
    for name, value in wanted.items():
        try:
            put(magics, name, value)
        except GptOssError as error:
            wrong.append(str(error))
    return wrong
