"""A value of a table as people write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_WHOLE = 10**15  # floats up to here hold every whole number


def written(value: Any) -> str:
    """The value's text, '' where it is missing: None, NaN, NaT, NA, an empty list.

    Numbers without a float's noise (`0.3`, and `3` for the 3.0 that an integer becomes beside a
    missing one), dates without midnight, lists and mappings by their filled parts.
    """
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip()
    if isinstance(value, Mapping):
        pairs = ((written(key), written(part)) for key, part in value.items())
        return ", ".join(f"{key}: {part}" for key, part in pairs if part)
    if hasattr(value, "tolist") and hasattr(value, "ndim") and value.ndim:
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(written, value)))
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(filter(None, map(written, value))))
    if is_missing(value):
        return ""
    return _number(value) if hasattr(value, "is_integer") else _date_or_other(value)


def is_missing(value: Any) -> bool:
    """Whether a single value says that there is none: None, or what is not equal to itself."""
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124 (NaN, NaT and Decimal's NaN differ from all)
    except (ArithmeticError, TypeError, ValueError):  # a signalling NaN; pandas' NA is neither
        return str(value) in ("<NA>", "sNaN")


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    if value.is_integer() and abs(value) < MAX_WHOLE:
        return str(int(value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _date_or_other(value: Any) -> str:
    text = str(value)
    return text.removesuffix(" 00:00:00") if hasattr(value, "isoformat") else text.strip()
