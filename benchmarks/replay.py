"""replay_seconds_vs_generation: scoring a recorded answer by one prefill, or saying it again."""

from __future__ import annotations

import time

from benchmarks.figure import Figure, compared, interleaved
from benchmarks.speed import LONG, resident
from gptoss_magic.generation import SamplingSettings

NUM_NEW = 128


def replay_seconds_vs_generation(repeats: int) -> Figure:
    """Seconds to check an answer of 128 tokens, from nothing that was computed before."""
    _, engine = resident()
    prompt = list(engine.codec.encode(LONG))
    settings = SamplingSettings(temperature=0, max_tokens=NUM_NEW, lookup=0)
    said = [delta.token_id for delta in engine.stream(prompt, settings, cold=True)]

    def scored() -> float:
        apart = engine.apart()
        begin = time.perf_counter()
        apart.score(prompt, said)
        return time.perf_counter() - begin

    def generated() -> float:
        begin = time.perf_counter()
        list(engine.stream(prompt, settings, cold=True))
        return time.perf_counter() - begin

    ours, peer = interleaved(scored, generated, repeats)
    what = (
        f"{len(said)} recorded tokens behind {len(prompt)}: one prefill scores them, against "
        "generating them anew"
    )
    name = "replay_seconds_vs_generation"
    return compared(name, "s", ours, peer, what, less_is_better=True)
