"""The bounds of a run and of one call. ■ and the time limit reach a tool in the main thread."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records import Limits

AGAIN_S = 0.5


class Budget:
    """What is left of a run's time (seconds) and tokens."""

    def __init__(self, limits: Limits) -> None:
        self.tokens = limits.tokens
        self.is_over = False
        self._until = time.monotonic() + limits.seconds

    @property
    def seconds(self) -> float:
        return self._until - time.monotonic()

    def extend(self, seconds: float) -> None:
        """Time that the user took does not count."""
        self._until += seconds

    def check(self) -> None:
        """Called at each token: past the end of the time, ends the turn as ■ does."""
        if self.seconds <= 0:
            self.is_over = True
            raise KeyboardInterrupt


class OutOfTime(BaseException):
    """The call's time is over. No Exception: a tool's own `except Exception` lets it pass."""


class NoTimer(Exception):
    """A call cannot be bounded here."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Within, OutOfTime is raised after `seconds`, and again for what swallowed it.

    By the process's timer signal, which Python delivers to the main thread alone, between two of
    its steps: one long call into C ends first. Raises NoTimer elsewhere.
    """
    if threading.current_thread() is not threading.main_thread():
        raise NoTimer("tools run in the main thread alone, where ■ and the time limit reach them")
    if not hasattr(signal, "setitimer"):
        raise NoTimer("this platform has no timer that could end a tool")
    armed = True

    def ring(_number: int, _frame: Any) -> None:
        if armed:
            raise OutOfTime

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), AGAIN_S)
    try:
        try:
            yield
        finally:
            armed = False
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
