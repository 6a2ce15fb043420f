"""A figure and how it is measured: interleaved repeats, medians."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Unavailable(Exception):
    """The peer of a figure cannot be had here; the message says why."""


@dataclass(frozen=True)
class Figure:
    """`ratio` above 1: ours is better. `what` says in words what was compared.

    `more`: what else was measured; a line has it where there is any.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    what: str
    more: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """One JSON line."""
        held = asdict(self)
        if not self.more:
            del held["more"]
        return json.dumps(held, ensure_ascii=False)


def compared(
    name: str, unit: str, ours: float, peer: float, what: str, *, less_is_better: bool
) -> Figure:
    """A figure with its ratio, turned so that above 1 is better for us."""
    ratio = peer / ours if less_is_better else ours / peer
    return Figure(name, round(ours, 4), round(peer, 4), unit, round(ratio, 4), what)


REST_S = 0.1  # threads of the measure before spin for a while, waiting for more work


def rested(measure: Callable[[], float]) -> float:
    """The measure, taken once the processors are idle again."""
    time.sleep(REST_S)
    return measure()


def medians(measures: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median of each measure over `repeats` rounds; the order turns by one, one round warms up."""
    names = list(measures)
    found: dict[str, list[float]] = {name: [] for name in names}
    for measure in measures.values():
        measure()
    for number in range(repeats):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(rested(measures[name]))
    return {name: median(values) for name, values in found.items()}


def interleaved(
    ours: Callable[[], float], peer: Callable[[], float], repeats: int
) -> tuple[float, float]:
    """Medians of `repeats` pairs; the order within a pair alternates, one pair warms up."""
    found = medians({"ours": ours, "peer": peer}, repeats)
    return found["ours"], found["peer"]


def against_fastest(
    ours: Callable[[], float], peers: Mapping[str, Callable[[], float]], repeats: int
) -> tuple[float, float, str]:
    """(our time, the shortest time among `peers`, all of theirs in words), measured together."""
    found = medians({"": ours, **peers}, repeats)
    mine = found.pop("")
    best = min(found, key=lambda name: found[name])
    others = [f"{name} {value:.3g}" for name, value in found.items() if name != best]
    return mine, found[best], best + (f" (best of it and {', '.join(others)})" if others else "")


def last_json(command: Sequence[str], what: str, **options: Any) -> dict[str, Any]:
    """The JSON in the last line that a process prints; `options` as of subprocess.run.

    Raises RuntimeError with the last line of its errors, where it fails; `what` names it there.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{what} ended: {said[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
