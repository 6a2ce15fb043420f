"""routing_capture_overhead: greedy decoding with each token's routes recorded, and without."""

from __future__ import annotations

import time

from benchmarks.figure import Figure, compared, interleaved
from benchmarks.speed import NUM_NEW, prompt, resident
from gptoss_magic.generation import SamplingSettings


def decode_rate(ids: list[int], *, routing: bool) -> float:
    """Tokens a second after the first of a cold greedy answer, its record included."""
    _, engine = resident()
    settings = SamplingSettings(temperature=0, max_tokens=NUM_NEW)
    stream = engine.stream(ids, settings, cold=True, routing=routing)
    made = [next(stream).token_id]
    begin = time.perf_counter()
    made += [delta.token_id for delta in stream]
    engine.trace([*ids, *made])
    return (len(made) - 1) / (time.perf_counter() - begin)


def routing_capture_overhead(repeats: int) -> Figure:
    """Decode speed with the capture (ours) against decode speed without it."""
    ids = prompt(16)
    ours, peer = interleaved(
        lambda: decode_rate(ids, routing=True), lambda: decode_rate(ids, routing=False), repeats
    )
    what = f"decoding with a routing trace: {100 * (peer / ours - 1):.1f} % slower than without"
    name = "routing_capture_overhead"
    return compared(name, "tokens/s", ours, peer, what, less_is_better=False)
