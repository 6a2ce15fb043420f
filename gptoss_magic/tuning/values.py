"""Single values of a record, checked: what is absent, what is text, what is a list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable, is_encodable

if TYPE_CHECKING:
    from gptoss_magic.tuning.notes import RowNotes


def present(value: Any) -> Any:
    """The value, or None for a table's empty cell (NaN, NA, NaT)."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 (NaN)


def is_empty(value: Any) -> bool:
    """True for what says nothing: None, NaN, a blank text, an empty list or object."""
    value = present(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(value, dict):
        return all(is_empty(one) for one in value.values())  # as Arrow fills an absent struct
    return isinstance(value, (list, tuple)) and not value


def text_of(value: Any, what: str) -> str:
    """A text that says something. Raises InputError."""
    if not isinstance(value, str):
        raise InputError(f"{what} is no text but {type(value).__name__} ({value!r:.40})")
    if not value.strip():
        raise InputError(f"{what} is empty")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """A list, or one written as JSON text; empty where there is none. Raises InputError."""
    value = present(value)
    if isinstance(value, str) and value.strip():
        value = json_of(value, what)
    if value and not isinstance(value, (list, tuple)):
        raise InputError(f"{what} is no list")
    return list(value or ())


def json_of(text: str, what: str) -> Any:
    """The value of a JSON text. Raises InputError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is no JSON ({error})") from error


def without_surrogates(value: Any, notes: RowNotes) -> Any:
    """The value with U+FFFD for each lone surrogate in its texts: halves of characters, which no
    tokenizer takes.
    """
    if isinstance(value, str):
        return _whole(value, notes)
    if isinstance(value, (list, tuple)):
        return [without_surrogates(one, notes) for one in value]
    if isinstance(value, dict):
        return {
            without_surrogates(name, notes): without_surrogates(one, notes)
            for name, one in value.items()
        }
    return value


def _whole(text: str, notes: RowNotes) -> str:
    if not is_encodable(text):
        notes.repairs.append("lone surrogates became U+FFFD")
    return encodable(text)
