"""How fast the resident model is here: the figures of `%gptoss bench`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gptoss_magic.records import SamplingSettings

if TYPE_CHECKING:
    from gptoss_magic.generation.engine import LocalEngine

TEXT = "A sentence of plain English prose that is repeated until the prompt is long enough. "


def measure(engine: LocalEngine, prompt_tokens: int = 256, new_tokens: int = 32) -> dict[str, str]:
    """Time to first token, prefill and decode speed of one cold greedy run after a warm-up.

    Less of both where the context is short. Conversations keep their caches.
    """
    prompt_tokens = min(prompt_tokens, engine.context // 2)
    new_tokens = min(new_tokens, engine.context // 4)
    text_T = list(engine.codec.encode(TEXT * (1 + prompt_tokens // 8)))[:prompt_tokens]
    settings = SamplingSettings(temperature=0, max_tokens=new_tokens)
    apart = engine.apart()
    for _ in range(2):
        times = [time.perf_counter()]
        times.extend(time.perf_counter() for _ in apart.stream(text_T, settings, cold=True))
    first, decode = times[1] - times[0], times[-1] - times[1]
    rate = f"{(len(times) - 2) / decode:.1f} tokens/s" if len(times) > 2 else "-"
    return {
        "time to first token": f"{first:.2f} s ({len(text_T)} prompt tokens)",
        "prefill": f"{len(text_T) / first:.0f} tokens/s",
        "decode": f"{rate} ({len(times) - 1} tokens)",
    }
