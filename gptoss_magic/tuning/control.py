"""What a user may do to a running loop: stop it, pause it, change its learning rate."""

from __future__ import annotations

import math
from threading import Event

from gptoss_magic.errors import InputError

TICK_S = 0.1


class Control:
    """Set from any thread, read by the loop between its steps.

    `rate` is the new peak of the schedule, None as long as the run's own holds.
    """

    def __init__(self) -> None:
        self._stop, self._go = Event(), Event()
        self._go.set()
        self._rate: float | None = None

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def paused(self) -> bool:
        return not self._go.is_set()

    @property
    def rate(self) -> float | None:
        return self._rate

    def stop(self) -> None:
        """End the run after this step, a pause at once. There is no way back."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Hold the run after this step; a stopped one stays stopped."""
        self._go.clear()
        if self.stopped:
            self._go.set()

    def resume(self) -> None:
        self._go.set()

    def set_rate(self, learning_rate: float) -> None:
        """The peak learning rate from the next step on. InputError unless above 0 and finite."""
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise InputError(f"learning rate {learning_rate}: give a number above 0")
        self._rate = float(learning_rate)

    def wait(self) -> bool:
        """Block while paused; then True to go on, False once stopped.

        Waits in short pieces, so that KeyboardInterrupt comes through on the main thread.
        """
        while not self._go.wait(TICK_S):
            pass
        return not self.stopped
