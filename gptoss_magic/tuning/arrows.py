"""`prompt → answer` lines: which of a line's arrows separates, and which belongs to its texts.

Code has arrows too: a type hint's `->`, a lambda's `=>`, a pointer's `p->x`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

ARROWS = re.compile(r"→|->|=>")
SIGNATURE = re.compile(r"(async\s+)?(def|fn|func|function)\b[^→]*\)\s*->[^→]*")


def split_lines(body: str) -> list[dict[str, str]]:
    """A record of prompt and answer for each line; [] unless each line has an arrow.

    Raises InputError for a line with several that may each separate.
    """
    lines = numbered(body)
    places = {number: _places(line) for number, line in lines}
    if not all(places.values()):
        return []
    unclear = [number for number, found in places.items() if len(found) > 1]
    hints = [number for number, line in lines if _is_signature(line)]
    if len(hints) < len(lines):  # others have a separator, these only a type hint's arrow
        unclear = sorted({*unclear, *hints})
    if unclear:
        raise InputError(
            f"line {unclear[0]}: several arrows may separate prompt and answer; "
            "write one → with spaces around it, or JSON lines"
        )
    return [_halves(line, places[number][0]) for number, line in lines]


def without_arrow(body: str) -> int | None:
    """The first line without an arrow, where most lines have one; else None."""
    lines = numbered(body)
    missing = [number for number, line in lines if not _places(line)]
    return missing[0] if 0 < 2 * len(missing) < len(lines) else None


def numbered(body: str) -> list[tuple[int, str]]:
    """(number from 1, line) of the lines that are not blank."""
    return [(n, line.strip()) for n, line in enumerate(body.split("\n"), 1) if line.strip()]


def _halves(line: str, place: tuple[int, int]) -> dict[str, str]:
    return {"prompt": line[: place[0]].strip(), "answer": line[place[1] :].strip()}


def _places(line: str) -> list[tuple[int, int]]:
    """Where the line may be split: by → before all others, by plain arrows before those of code."""
    every = _spans(ARROWS.finditer(line), line)
    signs = [span for span in every if line[span[0] : span[1]] == "→"]
    among = signs or every
    plain = [span for span in among if _is_plain(line, span)]
    return plain or among


def _is_signature(line: str) -> bool:
    """True for a function's head whose only arrow is that of its type."""
    return bool(SIGNATURE.fullmatch(line)) and len(ARROWS.findall(line)) == 1


def _spans(found: Iterable[re.Match[str]], line: str) -> list[tuple[int, int]]:
    """Those with text on both sides."""
    spans = [match.span() for match in found]
    return [(a, b) for a, b in spans if line[:a].strip() and line[b:].strip()]


def _is_plain(line: str, span: tuple[int, int]) -> bool:
    """True for an arrow with spaces around it that is no type hint's and no lambda's."""
    before, behind = line[: span[0]], line[span[1] :]
    spaced = before[-1:].isspace() and behind[:1].isspace()
    return spaced and (line[span[0] : span[1]] == "→" or not before.rstrip().endswith(")"))
