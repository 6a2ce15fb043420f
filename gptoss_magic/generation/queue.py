"""Whose turn it is with the model: one thread at a time, a cell first, the others in order."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLICE_S = 0.5  # after so long with the model, another waiting thread gets its turn
LEAST_S = 0.05  # a cell waits so long at most for the next token's end: nobody is starved by cells
POLL_S = 0.1  # between two looks at whether a waiting caller is gone


class ModelQueue:
    """Hands the model to one thread after the other.

    The main thread, which runs the notebook's cells, comes before the others; they take turns in
    the order they came. A thread that is in may enter again. `closed_by`: why no other thread may
    come in, such as a training run; '' lets them wait. `on_change` is called when someone comes to
    wait or goes, in that thread, which holds the queue's lock: it must be quick.
    """

    def __init__(self) -> None:
        self.closed_by = ""
        self.on_change: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._numbers = count()
        self._waiting: list[tuple[bool, int, str]] = []
        self._owner: int | None = None
        self._depth, self._since = 0, 0.0

    @contextmanager
    def turn(
        self, is_gone: Callable[[], bool] = lambda: False, *, is_back: bool = False
    ) -> Iterator[None]:
        """Within, the model is this thread's alone. Who `is_back` waits for a closed queue too.

        Raises InputError where the queue is closed, KeyboardInterrupt for ■ and where the caller
        `is_gone` before its turn came.
        """
        self._enter(is_gone, is_back=is_back)
        try:
            yield
        finally:
            self._leave()

    @property
    def is_mine(self) -> bool:
        """True in the thread whose turn it is."""
        return self._owner == threading.get_ident()

    @property
    def waiting(self) -> tuple[str, ...]:
        """Names of the threads that wait, the next one first."""
        with self._changed:
            return tuple(name for _, _, name in sorted(self._waiting))

    @property
    def is_wanted(self) -> bool:
        """True where this thread should let another one in, and has nothing open around it.

        A cell of the notebook goes on; others let a cell in after a moment, each other after a
        slice.
        """
        with self._changed:
            if self._depth != 1 or not self._waiting or _is_main():
                return False
            is_cell = not min(self._waiting)[0]
            return monotonic() - self._since > (LEAST_S if is_cell else SLICE_S)

    def check(self) -> None:
        """Raise InputError where the queue is closed to this thread."""
        if self.closed_by and not self.is_mine:
            raise InputError(self.closed_by)

    def _enter(self, is_gone: Callable[[], bool], *, is_back: bool) -> None:
        with self._changed:
            if self.is_mine:
                self._depth += 1
                return
            place = (not _is_main(), next(self._numbers), threading.current_thread().name)
            self._waiting.append(place)
            self.on_change()
            try:
                while self._owner is not None or min(self._waiting) != place:
                    if not is_back:
                        self.check()
                    if is_gone():
                        raise KeyboardInterrupt
                    self._changed.wait(POLL_S)
                self._owner, self._depth = threading.get_ident(), 1
                self._since = monotonic()
            finally:
                self._waiting.remove(place)
                self.on_change()
                self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._changed.notify_all()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
