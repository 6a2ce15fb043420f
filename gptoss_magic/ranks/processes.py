"""Processes by id and birth, so that an id that was given away again is not taken for them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TICK_S = 0.05
SAME_S = 2.0  # the system tells a process's birth by the second of its own start


@dataclass(frozen=True)
class Process:
    """A process of the machine `host`; `born`: when it began, as the system has it."""

    pid: int
    born: float
    host: str = ""

    @classmethod
    def of(cls, pid: int | None = None) -> Process:
        """That of an id, or this very one. Raises ProcessLookupError."""
        import platform

        import psutil

        try:
            found = psutil.Process(pid)
            return cls(found.pid, found.create_time(), platform.node())
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(f"process {pid}: there is none") from error

    @property
    def is_here(self) -> bool:
        """True on its own machine."""
        import platform

        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """True while it runs on this machine; not for one that ended and was not waited for."""
        import psutil

        if not self.is_here:
            return False
        try:
            found = psutil.Process(self.pid)
            is_same = abs(found.create_time() - self.born) < SAME_S
            return is_same and bool(found.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, where it still runs."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def with_words(*words: str) -> list[Process]:
    """Running processes of this machine that were started with all of these words."""
    import psutil

    found = []
    for one in psutil.process_iter(["cmdline"]):
        if set(words) <= set(one.info["cmdline"] or ()):
            with suppress(ProcessLookupError):
                found.append(Process.of(one.pid))
    return [process for process in found if process.is_alive]


def wait_over(alive: Callable[[], Sequence[Process]], seconds: float) -> bool:
    """Wait until nothing is alive, at most so long; whether it came to that."""
    until = time.monotonic() + seconds
    while alive():
        if time.monotonic() >= until:
            return False
        time.sleep(TICK_S)
    return True
