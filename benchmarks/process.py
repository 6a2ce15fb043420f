"""A measured process that stays: a line in, a line of numbers out."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPIN = "while True: pass"


class Process:
    """Starts `command` and waits for its line 'ready'; `name` stands for it in errors."""

    def __init__(self, command: Sequence[str], name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "ready":
            self.close()
            raise RuntimeError(f"{name} did not start")

    def ask(self, *words: object) -> list[float]:
        """The numbers that it answers. Raises RuntimeError where it has ended."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            print(*words, file=self.process.stdin, flush=True)
        numbers = [float(word) for word in self._line().split()]
        if not numbers:
            raise RuntimeError(f"{self.name} ended (exit status {self.process.wait()})")
        return numbers

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """Let it end."""
        with suppress(BrokenPipeError):
            self.process.communicate()


def ours(model: str) -> Process:
    """A model by our public engine, as ours.py says."""
    return Process([sys.executable, "-m", "benchmarks.ours", model], f"ours ({model})")


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """Within, another process keeps one processor busy."""
    command = [sys.executable, "-c", f"print('ready', flush=True)\n{SPIN}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()
