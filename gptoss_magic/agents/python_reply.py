"""What a process of code says of a piece that it ran: taken only in its own shape.

The code can speak in its process's place, so all of it is the model's word.
"""

from __future__ import annotations

import re
from typing import Any

from gptoss_magic.records import FrameHead

MOST_FIGURES, MOST_ROWS, MOST_COLUMNS, CELL_CHARS = 4, 20, 13, 80
PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]{20,8000000}={0,2}")


def figures_of(reply: dict[str, Any]) -> tuple[str, ...]:
    """PNGs as base64: what the process says is the model's word."""
    given = reply.get("figures")
    listed = given[:MOST_FIGURES] if isinstance(given, list) else []
    return tuple(one for one in listed if isinstance(one, str) and PNG.fullmatch(one))


def frames_of(reply: dict[str, Any]) -> tuple[FrameHead, ...]:
    """The rows of a frame, if they are some: as many texts in each, none too long."""
    given = reply.get("frames")
    try:
        return tuple(_frame(one) for one in given[:1]) if isinstance(given, list) else ()
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return ()


def _frame(one: dict[str, Any]) -> FrameHead:
    columns = _texts(one["columns"])
    rows = tuple(map(_texts, one["rows"][:MOST_ROWS]))
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("a row of another length")
    return FrameHead(columns, rows, (int(one["size"][0]), int(one["size"][1])))


def _texts(given: list[Any]) -> tuple[str, ...]:
    return tuple(str(one)[:CELL_CHARS] for one in given[:MOST_COLUMNS])
