"""Text up to the first of some stop strings."""

from __future__ import annotations


class StopText:
    """What may yet grow into one of `stop` is held back; `is_over`: one of them came."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self.stop, self.is_over = stop, False
        self._held = ""

    def take(self, text: str) -> str:
        """What can be told now that `text` came; nothing once it is over."""
        if self.is_over:
            return ""
        self._held += text
        at = min((at for at in map(self._held.find, self.stop) if at >= 0), default=-1)
        if at >= 0:
            told, self._held, self.is_over = self._held[:at], "", True
            return told
        sure = len(self._held) - num_open(self._held, self.stop)
        told, self._held = self._held[:sure], self._held[sure:]
        return told

    def rest(self) -> str:
        """What was held back, where no more text comes."""
        held, self._held = self._held, ""
        return held


def num_open(text: str, stop: tuple[str, ...]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop string."""
    longest = max(map(len, stop), default=1) - 1
    sizes = range(min(longest, len(text)), 0, -1)
    return next((n for n in sizes if any(one.startswith(text[-n:]) for one in stop)), 0)
