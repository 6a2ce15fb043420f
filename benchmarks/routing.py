"""routing_capture_overhead: greedy decoding with each token's routes recorded, and without."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.figure import Figure, compared
from benchmarks.speed import NUM_NEW, prompt, resident
from gptoss_magic.generation import SamplingSettings


def step_times(ids: list[int]) -> dict[bool, list[float]]:
    """Seconds of each decoded token with (True) and without a trace, in turns.

    Both streams advance side by side, so that whatever else the machine does falls on both.
    """
    _, engine = resident()
    settings = SamplingSettings(temperature=0, max_tokens=NUM_NEW)
    streams = {
        routing: engine.stream(ids, settings, conversation=str(routing), cold=True, routing=routing)
        for routing in (False, True)  # the later one's routes are the engine's
    }
    for stream in streams.values():
        next(stream)
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(NUM_NEW):
        for routing in (True, False) if number % 2 else (False, True):
            begin = time.perf_counter()
            if next(streams[routing], None) is not None:
                times[routing].append(time.perf_counter() - begin)
    return times


def record_s(ids: list[int]) -> float:
    """Seconds that the record of the latest trace takes, a token."""
    _, engine = resident()
    stream = engine.stream(ids, SamplingSettings(temperature=0, max_tokens=NUM_NEW), routing=True)
    list(stream)
    begin = time.perf_counter()
    stream.trace([*ids, *[0] * NUM_NEW])
    return (time.perf_counter() - begin) / NUM_NEW


def routing_capture_overhead(repeats: int) -> Figure:
    """Decode speed with the capture (ours) against decode speed without it."""
    ids = prompt(16)
    step_times(ids)
    rounds, records = [], []
    for _ in range(repeats):
        rounds.append(step_times(ids))
        records.append(record_s(ids))
    ours = median(t for times in rounds for t in times[True]) + median(records)
    peer = median(t for times in rounds for t in times[False])
    what = f"decoding with a routing trace: {100 * (ours / peer - 1):.1f} % more time a token"
    name = "routing_capture_overhead"
    return compared(name, "tokens/s", 1 / ours, 1 / peer, what, less_is_better=False)
