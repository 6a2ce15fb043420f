"""Goals that do not wait for each other: as lanes of one batch against one after the other."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gptoss_magic
from benchmarks.figure import Figure, compared, medians
from benchmarks.speed import resident
from gptoss_magic.session import current

NUM_NEW = 48
TOPICS = ("sky", "sea", "moon", "bread", "iron", "music", "rain", "chess")
ABOUT = "Notes for a school book. Each one is short, and says what a child of ten can see itself."
ASK: dict[str, Any] = {"effort": "low", "date": "2026-01-01", "temperature": 0, "seed": 1}


def goals_s(lanes: int) -> float:
    """Seconds of eight goals with a try each, nothing reused of an earlier run."""
    goals = [
        gptoss_magic.goal(topic, f"Why is the {topic} as it is?", "len(answer) > 0", tries=1)
        for topic in TOPICS
    ]
    current().local_engine.prefixes.held.clear()
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "goals.jsonl"
        begin = time.perf_counter()
        board = gptoss_magic.goals(
            "notes", goals, about=ABOUT, lanes=lanes, journal=journal, max_tokens=NUM_NEW, **ASK
        )
        seconds = time.perf_counter() - begin
    if any(len(node.tries) != 1 for node in board):
        raise RuntimeError("a goal was not tried once")
    return seconds


def goal_lanes_vs_serial(repeats: int) -> Figure:
    """Eight goals, side by side against one after the other; both keep their journal."""
    resident()
    found = medians(
        {"lanes": lambda: goals_s(len(TOPICS)), "serial": lambda: goals_s(1)}, min(repeats, 3)
    )
    what = f"{len(TOPICS)} goals, up to {NUM_NEW} tokens each, built-in model: lanes against serial"
    return compared(
        "goal_lanes_vs_serial", "s", found["lanes"], found["serial"], what, less_is_better=True
    )
