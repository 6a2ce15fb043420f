"""turn10_first_token_vs_cold: what a kept KV cache saves in a conversation."""

from __future__ import annotations

import time
from itertools import chain

from benchmarks.figure import Figure, compared, interleaved
from benchmarks.speed import LONG, resident
from gptoss_magic.generation import SamplingSettings


def turn10_first_token_vs_cold(repeats: int) -> Figure:
    """Time to the first token of a tenth turn, nine turns held against nothing held."""
    _, engine = resident()
    one = SamplingSettings(temperature=0, max_tokens=1)
    turns = [
        list(engine.codec.encode(f"{number}. " + " ".join([LONG] * 4))) for number in range(10)
    ]
    before, whole = list(chain(*turns[:9])), list(chain(*turns))

    def first(*, cold: bool) -> float:
        list(engine.stream(before, one, conversation="talk", cold=cold))
        begin = time.perf_counter()
        list(engine.stream(whole, one, conversation="talk", cold=cold))
        return time.perf_counter() - begin

    ours, peer = interleaved(lambda: first(cold=False), lambda: first(cold=True), repeats)
    what = f"first token of turn 10 ({len(whole)} tokens, {len(turns[9])} of them new): kept, cold"
    return compared("turn10_first_token_vs_cold", "s", ours, peer, what, less_is_better=True)
