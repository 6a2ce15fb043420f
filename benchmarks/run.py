"""Run figures one after another; one that is skipped or fails does not stop the others."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, Unavailable
from benchmarks.table import Outcome, aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def first_line(error: BaseException) -> str:
    """The error's kind and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def measured(name: str, function: Callable[[int], Figure], repeats: int) -> Outcome:
    """The figure, or why there is none; a line on stderr says so at once."""
    begin = time.perf_counter()
    figure, failed, why = None, False, ""
    try:
        figure = function(repeats)
    except Unavailable as error:
        why = str(error)
        print(f"{name}: skipped: {why}", file=sys.stderr, flush=True)
    except Exception as error:  # noqa: BLE001 (the other figures go on)
        failed, why = True, first_line(error)
        print(f"{name}: failed: {why}", file=sys.stderr, flush=True)
    return Outcome(name, time.perf_counter() - begin, figure, failed, why)


def run(figures: Mapping[str, Callable[[int], Figure]], repeats: int, results: Path) -> int:
    """Print and write one JSON line per figure as it is measured, a table of all to stderr.

    1 where any failed, else 0.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with results.open("w") as file:
        for name, function in figures.items():
            outcome = measured(name, function, repeats)
            outcomes.append(outcome)
            if outcome.figure is not None:
                print(outcome.figure.line(), flush=True)
                file.write(outcome.figure.line() + "\n")
                file.flush()
    print(summary(outcomes), file=sys.stderr, flush=True)
    return int(any(outcome.failed for outcome in outcomes))


def summary(outcomes: list[Outcome]) -> str:
    """The table, and where the time went."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    longest = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:10]
    where = ", ".join(f"{outcome.name} {outcome.seconds:.0f} s" for outcome in longest)
    table = aligned(outcome.cells() for outcome in outcomes)
    return f"\n{table}\n\n{len(outcomes)} figures in {seconds:.0f} s; the longest: {where}"
