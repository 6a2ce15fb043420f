"""A persona's `position:`: what it holds to be good, its rules, and what it would never do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable, one_line
from gptoss_magic.records.positions import PositionRule

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_RULES, MOST_CHARS = 40, 500  # of a kind, and characters of one
KINDS = {"values": "value", "rules": "rule", "never": "never"}
TITLES = {"values": "What I value", "rules": "My rules", "never": "What I never do"}


@dataclass(frozen=True)
class Position:
    """Sentences of the author's own, in the order in which they are to be read."""

    values: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As the instructions have it: a list below a title for each kind; '' for no position."""
        parts = []
        for field in fields(self):
            lines = getattr(self, field.name)
            listed = "".join(f"\n- {line}" for line in lines)
            parts.append(f"{TITLES[field.name]}:{listed}" if lines else "")
        return "\n\n".join(filter(None, parts))

    @property
    def all_rules(self) -> tuple[PositionRule, ...]:
        """Each sentence with its kind and a name such as 'never 2'."""
        return tuple(
            PositionRule(f"{kind} {number}", kind, text)
            for name, kind in KINDS.items()
            for number, text in enumerate(getattr(self, name), 1)
        )


def read_position(value: Any, label: str) -> tuple[str, Position]:
    """(a few words, the position) of YAML: a text, a list of rules, or a mapping of the kinds.

    The mapping may have the few words as `text`. Raises InputError.
    """
    if value is None or isinstance(value, str):
        return _line(value or "", label, None), Position()
    if isinstance(value, list):
        return "", Position(rules=_sentences(value, f"{label}: rules"))
    if not isinstance(value, dict):
        raise InputError(
            f"{label} is a {type(value).__name__}: write a text, a list of rules, or values, rules "
            "and never with a list each"
        )
    for key in value:
        _check_key(key, label)
    words = _line(value.get("text") or "", f"{label}: text", None)
    return words, Position(**{k: _sentences(value.get(k), f"{label}: {k}") for k in KINDS})


def position_record(words: str, position: Position) -> Any:
    """What `read_position` reads the same from; None where nothing is said."""
    listed = {name: list(given) for name, given in vars(position).items() if given}
    if not listed:
        return words or None
    return {"text": words, **listed} if words else listed


def laid(positions: Iterable[Position]) -> Position:
    """All layers' sentences, each once: an overlay adds to a position and takes nothing away."""
    known = list(positions)
    return Position(
        **{
            name: tuple(dict.fromkeys(s for one in known for s in getattr(one, name)))
            for name in KINDS
        }
    )


def _check_key(key: Any, label: str) -> None:
    known = ("text", *KINDS)
    if key in known:
        return
    near = get_close_matches(str(key), known, 1)
    hint = f"perhaps {near[0]}" if near else f"there are {', '.join(known)}"
    raise InputError(f"{label}: no such key {one_line(str(key), 60)!r}; {hint}")


def _sentences(value: Any, label: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if len(listed) > MOST_RULES:
        raise InputError(f"{label}: {len(listed)} of them; give {MOST_RULES} at most")
    lines = [_line(one, label, MOST_CHARS) for one in listed]
    if not all(lines):
        raise InputError(f"{label}: one of them is empty; write it, or take it out")
    return tuple(dict.fromkeys(lines))


def _line(value: Any, label: str, most: int | None) -> str:
    """A text in one line, but for the few words, which stay as they are."""
    if not isinstance(value, str):
        raise InputError(
            f"{label}: {value!r} is a {type(value).__name__}, no text; put it in quotes"
        )
    text = encodable(value).strip()
    if most is not None:
        text = " ".join(text.split())
        if len(text) > most:
            raise InputError(f"{label}: {len(text):,} characters; give {most} at most")
    return text
