"""The end of what a program writes to its standard error: the reason, where it fails."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = 60
LINE_BYTES = 2000
LAST = 3  # lines that are told
END_S = 1.0  # for what the program wrote just before its end
QUIET_S = 0.3  # without a line: nothing more comes
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TELLING = re.compile(
    r"error|exception|missing|cannot|denied|not found|no such|fatal", re.IGNORECASE
)


class StandardError:
    """Keeps the last lines; the rest is read, so that the program never waits, and forgotten."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)
        self._has_more = threading.Event()

    @contextmanager
    def pipe(self) -> Iterator[TextIO]:
        """A file for the program to write to."""
        source, sink = os.pipe()
        reader = threading.Thread(target=self._read, args=(source,), daemon=True)
        reader.start()
        try:
            with os.fdopen(sink, "w", encoding="utf-8") as file:
                yield file
        finally:
            reader.join(END_S)  # a grandchild may hold the pipe for longer

    def _read(self, source: int) -> None:
        with os.fdopen(source, "rb") as file:
            while line := file.readline(LINE_BYTES):
                text = COLOURS.sub("", line.decode("utf-8", "replace"))
                text = "".join(letter if letter.isprintable() else " " for letter in text).strip()
                if text:
                    self._lines.append(text)
                    self._has_more.set()

    def wait_for_rest(self) -> None:
        """Give what the program wrote just before its end the time to arrive."""
        until = monotonic() + END_S
        while monotonic() < until:
            self._has_more.clear()
            if not self._has_more.wait(QUIET_S):
                return

    @property
    def last_words(self) -> str:
        """From the last line that reads like a reason to the end, in one line; '' for nothing."""
        lines = list(self._lines)
        telling = [at for at, line in enumerate(lines) if TELLING.search(line)]
        words = lines[telling[-1] :] if telling else lines[-LAST:]
        if len(words) > LAST:
            words = [*words[: LAST - 1], words[-1]]
        return " · ".join(words)
