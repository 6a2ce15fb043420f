"""Run figures one after another; one that is skipped or fails does not stop the others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def first_line(error: BaseException) -> str:
    """The error's kind and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def measured(name: str, function: Callable[[int], Figure], repeats: int) -> tuple[str, bool]:
    """(JSON line or '', whether it failed); a line on stderr says why there is none."""
    try:
        return function(repeats).line(), False
    except Unavailable as why:
        print(f"{name}: skipped: {why}", file=sys.stderr, flush=True)
        return "", False
    except Exception as error:  # noqa: BLE001 (the other figures go on)
        print(f"{name}: failed: {first_line(error)}", file=sys.stderr, flush=True)
        return "", True


def run(figures: Mapping[str, Callable[[int], Figure]], repeats: int, results: Path) -> int:
    """Print and write one JSON line per figure as it is measured; 1 where any failed, else 0."""
    results.parent.mkdir(parents=True, exist_ok=True)
    any_failed = False
    with results.open("w") as file:
        for name, function in figures.items():
            line, failed = measured(name, function, repeats)
            any_failed |= failed
            if line:
                print(line, flush=True)
                file.write(line + "\n")
                file.flush()
    return int(any_failed)
