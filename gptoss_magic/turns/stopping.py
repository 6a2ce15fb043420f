"""Work that a button stops as ■ does: an interrupt of the main thread, and only while it works."""

from __future__ import annotations

import _thread
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MainWork:
    """What the main thread does for us now: `name` ('' while it does nothing).

    `listeners` are called in the main thread when work begins and when it ends.
    """

    def __init__(self) -> None:
        self.name = ""
        self.listeners: list[Callable[[], None]] = []

    @contextmanager
    def doing(self, name: str) -> Iterator[None]:
        """Within, `stop` raises KeyboardInterrupt here. Inner work has the outer's name."""
        if self.name or threading.current_thread() is not threading.main_thread():
            yield
            return
        try:
            self.name = name
            self._tell()
            yield
        finally:
            self.name = ""
            self._tell()

    def stop(self) -> bool:
        """Interrupt the work, from any thread; False where there is none."""
        if not self.name:
            return False
        if hasattr(signal, "pthread_kill"):  # a real signal, so that waiting ends too
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main()
        return True

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()


WORK = MainWork()
