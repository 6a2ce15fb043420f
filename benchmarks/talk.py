"""turn10_first_token_*: what a kept KV cache saves in a conversation."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, compared, interleaved
from benchmarks.speed import LONG, generate_s, resident
from gptoss_magic.generation import SamplingSettings

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_TURNS = 10


def turns() -> list[list[int]]:
    """Token ids of each turn."""
    _, engine = resident()
    text = " ".join([LONG] * 4)
    return [list(engine.codec.encode(f"{number}. {text}")) for number in range(NUM_TURNS)]


def first_token_s(talk: list[list[int]], *, cold: bool) -> float:
    """Seconds to the first token of the last turn, the turns before it held unless `cold`."""
    _, engine = resident()
    one = SamplingSettings(temperature=0, max_tokens=1)
    before, whole = list(chain(*talk[:-1])), list(chain(*talk))
    list(engine.stream(before, one, conversation="talk", cold=cold))
    begin = time.perf_counter()
    list(engine.stream(whole, one, conversation="talk", cold=cold))
    return time.perf_counter() - begin


def turn10_figure(
    name: str, peer: Callable[[list[list[int]]], float], against: str, repeats: int
) -> Figure:
    """Kept caches against `peer`, which sees the whole conversation."""
    talk = turns()
    a, b = interleaved(lambda: first_token_s(talk, cold=False), lambda: peer(talk), repeats)
    tokens = sum(map(len, talk))
    what = f"first token of turn 10 ({tokens} tokens, {len(talk[-1])} of them new): kept, {against}"
    return compared(name, "s", a, b, what, less_is_better=True)


def turn10_first_token_vs_cold(repeats: int) -> Figure:
    """Time to the first token of a tenth turn, nine turns held against nothing held."""
    name = "turn10_first_token_vs_cold"
    return turn10_figure(name, lambda talk: first_token_s(talk, cold=True), "cold", repeats)


def turn10_first_token_vs_generate(repeats: int) -> Figure:
    """The same against transformers' generate over the whole conversation."""
    name = "turn10_first_token_vs_generate"
    return turn10_figure(name, lambda talk: generate_s(list(chain(*talk)), 1), "generate", repeats)
