"""--map over 64 rows against a loop of single prompts, and against transformers' generate_batch."""

from __future__ import annotations

import time
from functools import cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import gptoss_magic
from benchmarks.figure import Figure, compared
from benchmarks.speed import resident, transformers_own

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_ROWS, NUM_NEW = 64, 48
PEER_NEW = 8  # generate_batch takes five minutes for 48
SYSTEM = "Answer in one short sentence. Do not guess: say so where the text does not tell. " * 3
TEMPLATE = "{{ name }} has {{ count }} {{ things }}. How many {{ things }} does {{ name }} have?"
ASK: dict[str, Any] = {"system": SYSTEM, "effort": "low", "date": "2026-01-01", "temperature": 0}


@cache
def frame() -> Any:
    """64 rows that differ."""
    import pandas as pd

    names, things = ("Ada", "Ben", "Cleo", "Dov"), ("red apples", "books", "old coins", "kites")
    rows = [(names[n % 4], n + 2, things[n // 4 % 4]) for n in range(NUM_ROWS)]
    return pd.DataFrame(rows, columns=["name", "count", "things"])


def map_s(num_new: int = NUM_NEW) -> float:
    """Seconds of the map, its journal written anew."""
    resident()
    with TemporaryDirectory() as journal:
        begin = time.perf_counter()
        gptoss_magic.map(frame().copy(), TEMPLATE, journal=journal, max_tokens=num_new, **ASK)
        return time.perf_counter() - begin


def loop_s() -> float:
    """Seconds of one prompt after the other, the system text's keys reused."""
    from gptoss_magic.turns.rows.template import RowTemplate

    resident()
    made = RowTemplate(TEMPLATE, frame().columns, {})
    begin = time.perf_counter()
    for values in frame().itertuples(index=False, name=None):
        gptoss_magic.generate(made.render(values), max_tokens=NUM_NEW, **ASK)
    return time.perf_counter() - begin


def generate_batch_s() -> float:
    """Seconds of transformers' continuous batching over the same prompts."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    from gptoss_magic.harmony import SystemSettings, developer_message, render, system_message
    from gptoss_magic.records import Message
    from gptoss_magic.turns.rows.template import RowTemplate

    _, engine = resident()
    made = RowTemplate(TEMPLATE, frame().columns, {})
    settings = SystemSettings(effort=ASK["effort"], current_date=ASK["date"])
    opening = [system_message(settings), developer_message(SYSTEM)]
    prompts = [
        render([*opening, Message("user", made.render(values))], engine.codec)
        for values in frame().itertuples(index=False, name=None)
    ]
    config = GenerationConfig(max_new_tokens=PEER_NEW, do_sample=False, eos_token_id=[5, 6])
    bounds = ContinuousBatchingConfig(num_blocks=512, max_batch_tokens=512)  # by itself it swaps
    model = transformers_own()
    begin = time.perf_counter()
    model.generate_batch(
        prompts,
        generation_config=config,
        continuous_batching_config=bounds,
        progress_bar=False,
    )
    return time.perf_counter() - begin


def minutes_each(ours: Callable[[], float], peer: Callable[[], float]) -> tuple[float, float]:
    """One run of each, the models loaded before: minutes long, so that no round warms up."""
    resident()
    transformers_own()
    return ours(), peer()


def map_64_rows_vs_loop(_repeats: int) -> Figure:
    """The same 64 answers, many rows at a time against one after the other."""
    ours, peer = minutes_each(map_s, loop_s)
    what = f"{NUM_ROWS} rows, up to {NUM_NEW} tokens each, built-in model: map against a loop"
    return compared("map_64_rows_vs_loop", "s", ours, peer, what, less_is_better=True)


def map_64_rows_vs_generate_batch(_repeats: int) -> Figure:
    """The same 64 prompts through transformers' own continuous batching."""
    ours, peer = minutes_each(lambda: map_s(PEER_NEW), generate_batch_s)
    what = (
        f"{NUM_ROWS} rows, up to {PEER_NEW} tokens each: map against transformers' generate_batch"
    )
    return compared("map_64_rows_vs_generate_batch", "s", ours, peer, what, less_is_better=True)
