"""What the user asks, and what befell the ranks, as every rank learns it between two steps.

Rank 0 reads the file; each rank adds what it alone knows (a signal, a parent that is gone), and all
of them do the same. While a run is paused, they meet again and again, so that none waits too long.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from math import inf
from typing import TYPE_CHECKING

from gptoss_magic.ranks.folder import Wish

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.ranks.folder import RanksFolder
    from gptoss_magic.ranks.group import RankGroup
    from gptoss_magic.ranks.processes import Process

WATCH_S, MEET_S = 0.25, 0.05
GRACE_S = 60.0  # a rank that cannot come to its next step ends by itself after so long
SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")  # the last: as a scheduler warns
ENDS = ("", "stop", "interrupt")


class Interrupted(Exception):
    """The run ends here and now, its state kept: ■, a signal, or the owner is gone."""


class RankControl:
    """`tuning.trainer.Controls` of all ranks together.

    `was_told`: whether this process alone knows that the run ends. `saves`: whether all ranks keep
    the state behind the step that begins, every `save_every` seconds by rank 0's clock.
    """

    def __init__(
        self,
        group: RankGroup,
        folder: RanksFolder,
        was_told: Callable[[], bool],
        save_every: float = inf,
    ) -> None:
        self._group, self._folder, self._was_told = group, folder, was_told
        self._every, self._kept = save_every, time.monotonic()
        self.stopped = self.saves = False
        self.rate: float | None = None

    def wait(self) -> bool:
        """True to go on, False once stopped; waits while paused. Raises Interrupted."""
        self.saves = False
        while True:
            end, paused, rate, is_due = self._agreed()
            self.saves |= is_due
            self.rate = rate or self.rate
            if end == "interrupt":
                raise Interrupted
            if end == "stop":
                self.stopped = True
                return False
            if not paused:
                return True
            time.sleep(MEET_S)

    def _agreed(self) -> tuple[str, bool, float, bool]:
        """(end, whether it is paused, rate or 0, whether to save): the same on every rank."""
        is_first, now = self._group.place.rank == 0, time.monotonic()
        wish = self._folder.wished() if is_first else Wish()
        end = "interrupt" if self._was_told() else wish.end
        is_due = is_first and now - self._kept > self._every
        if is_due:
            self._kept = now
        numbers = (ENDS.index(end), wish.paused, wish.rate or 0.0, is_due)
        found = self._group.largest([float(number) for number in numbers])
        return ENDS[int(found[0])], bool(found[1]), found[2], bool(found[3])


class Watchman:
    """Notices that this process shall end: a signal, or that its owner or its parent is gone.

    A rank that does not come to its next step in time is ended: its checkpoint lies on the disk.
    """

    def __init__(self, owner: Process | None, agent: Process | None) -> None:
        self._over_us = [one for one in (owner, agent) if one is not None and one.is_here]
        self._parent = os.getppid()
        self._since: float | None = None
        self._over = threading.Event()

    @property
    def was_told(self) -> bool:
        """Whether this process shall end."""
        return self._since is not None

    def start(self) -> None:
        """From now on, until `stop`."""
        if threading.current_thread() is threading.main_thread():  # it is not in Ray
            for name in SIGNALS:
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), lambda *_: self.tell())
        threading.Thread(target=self._watch, name="watchman", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._over.set()

    def tell(self) -> None:
        """Let this process end after its step."""
        self._since = self._since or time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            is_alone = not all(one.is_alive for one in self._over_us)
            if is_alone or os.getppid() != self._parent:
                self.tell()
            if self._since is not None and time.monotonic() - self._since > GRACE_S:
                os._exit(1)
