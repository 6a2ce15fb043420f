"""Streams of a server, read part by part: server-sent events, and JSON lines.

Servers differ from the specification in every way it has: lines may end in CR, LF or both, events
may have no name or several lines of data, comments keep the connection alive, and letters are cut
in the middle of their bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 32_000_000  # of one line, and of one event: a whole long answer with its tokens
END = re.compile(rb"\r\n|\n|\r")
MARK = "\ufeff"  # a byte order mark, which may stand before the first line


@dataclass(frozen=True)
class ServerEvent:
    """`name` is '' where the server gives none; `data` may have several lines."""

    name: str
    data: str


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream as they are whole, without their ends; the last may lack its end.

    Raises ServerError for a line that does not end.
    """
    held, ended_by_cr = bytearray(), False
    for chunk in chunks:
        start = int(ended_by_cr and chunk.startswith(b"\n"))  # the second half of one end
        ended_by_cr = chunk.endswith(b"\r")
        for end in END.finditer(chunk, start):
            held += chunk[start : end.start()]
            yield held.decode("utf-8", "replace")
            held.clear()
            start = end.end()
        held += chunk[start:]
        _check_size(len(held))
    if held:
        yield held.decode("utf-8", "replace")


def server_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events of a stream; one that the stream's end cut off is given as it is.

    A field `error`, which is no field of the specification's, is the data of an event of that name.
    """
    name, data = "", list[str]()
    for number, line in enumerate(lines_of(chunks)):
        if not line.removeprefix(MARK if not number else ""):
            if data:
                yield ServerEvent(name, "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.removeprefix(MARK if not number else "").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field in ("data", "error"):
            name = "error" if field == "error" else name
            data.append(value)
            _check_size(sum(map(len, data)))
    if data:
        yield ServerEvent(name, "\n".join(data))


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ServerError(
            f"more than {MAX_BYTES // 1_000_000} MB came without an end; see what that URL serves"
        )
