"""The words and numbers that every room shares, each written once.

Efforts, channels, the sampler's ranges, defaults, and how an unknown name is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

EFFORTS = ("low", "medium", "high")
EFFORT = "medium"
CHANNELS = ("analysis", "commentary", "final")
MEMORY = ("off", "on", "shared")
MAX_TOKENS = 512  # new tokens of an answer, where nothing is said
LOOKUP = 4  # tokens that a greedy answer drafts ahead
BATCH = 32  # rows that are answered at a time
TERM_TOKENS = 512  # of a persona's terms that are quoted, at most
PASSAGES = 5  # chunks that are quoted
CONVERSATION = "default"
BASE, NONE = "base", "none"
BARE = (BASE, NONE)  # what names no adapter, or nobody's persona
MAX_SEED = 2**63 - 1


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`, `3 queries`, `2 images of the network`."""
    first, *rest = noun.split(" of ", 1)
    plural = f"{first[:-1]}ies" if first.endswith("ry") else f"{first}s"
    return f"{number:,} {' of '.join([first if number == 1 else plural, *rest])}"


@dataclass(frozen=True)
class Range:
    """Numbers that a setting may have: from `low` (`is_open`: above it) to `high`.

    `is_whole`: whole numbers only. `words` say what to give.
    """

    name: str
    low: float
    words: str
    high: float = math.inf
    is_whole: bool = False
    is_open: bool = False

    def check(self, value: Any) -> Any:
        """The value, an int where it `is_whole`, else a float. Raises InputError."""
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not self._has(value):
            raise InputError(f"{self.name} {value!r}: give {self.words}")
        return int(value) if self.is_whole else float(value)

    def read(self, text: str) -> Any:
        """The number that `text` says. Raises InputError."""
        try:
            return self.check(int(text) if self.is_whole else float(text))
        except (ValueError, OverflowError):
            raise InputError(f"{self.name} {text!r}: give {self.words}") from None

    def _has(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and self.low <= value <= self.high
            and not (self.is_open and value == self.low)
            and not (self.is_whole and value != int(value))
        )


SAMPLER = {
    "temperature": Range("temperature", 0, "0 (greedy) or more"),
    "top_p": Range("top-p", 0, "a share above 0 and up to 1", 1, is_open=True),
    "top_k": Range("top-k", 0, "0 (all tokens) or more", is_whole=True),
    "max_tokens": Range("max tokens", 1, "1 or more", is_whole=True),
    "seed": Range("seed", 0, "a whole number from 0 to 2^63 - 1", MAX_SEED, is_whole=True),
    "lookup": Range("lookup", 0, "0 (no drafts) or more", is_whole=True),
}


def check_effort(value: Any) -> str:
    """The effort. Raises InputError for an unknown one."""
    if value not in EFFORTS:
        raise InputError(f"effort {value!r}: give {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}")
    return str(value)


def check_date(value: str) -> str:
    """A date as YYYY-MM-DD. Raises InputError."""
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise InputError(f"date {value!r}: give one that there is, as YYYY-MM-DD") from None


def today() -> str:
    """The date here, as YYYY-MM-DD."""
    return datetime.now(UTC).astimezone().date().isoformat()


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean x?`, or nothing where no known name is near."""
    close = get_close_matches(name.lower(), list(known), 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise InputError, with the nearest right name, for one that is not known."""
    known = list(known)
    for name in names:
        if name not in known:
            near = nearest(name, known) or f"; there are {', '.join(sorted(known)) or 'none'}"
            raise InputError(f"{what} {name}: there is none of that name{near}")
