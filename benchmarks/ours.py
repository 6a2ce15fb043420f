"""Our side of a whole-model figure, by the public engine, as a process that stays.

`python -m benchmarks.ours MODEL`; a line each, answered by a line of numbers:

    NEW ID ID …      seconds to the first token, and of the NEW tokens behind it (as llama_model)
    adapted NEW ID … the same with LoRA of rank 8 on all experts in use
    read             bytes a second of a plain read by the same threads
    bytes            active weights of one token
    logits FILE ID … writes those behind the prompt, float32 [V]; their number
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import gptoss_magic
from gptoss_magic.records import SamplingSettings
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_BYTES = 1 << 29
ADAPTER = "all-experts"


def answered(num_new: int, prompt: list[int]) -> tuple[float, float]:
    """(seconds to the first token, seconds of `num_new` more); nothing is drafted or reused."""
    settings = SamplingSettings(temperature=0, max_tokens=num_new + 1, lookup=0)
    stream = current().local_engine.stream(prompt, settings, cold=True)
    times = [time.perf_counter(), *(time.perf_counter() for _ in stream)]
    steps = len(times) - 2
    if steps < 1:
        raise RuntimeError("the answer ended at once: give another prompt")
    return times[1] - times[0], (times[-1] - times[1]) * num_new / steps


@cache
def adapter() -> str:
    """The name of a LoRA on all experts, made and attached the first time."""
    from gptoss_magic.adapters import Adapter, write_adapter
    from gptoss_magic.tuning.methods import make_parts, settings_of
    from gptoss_magic.tuning.methods.context import Context

    model: Any = current().require().model
    parts = make_parts(model, Context(settings_of(rank=8, alpha=8, choice="all")))
    with tempfile.TemporaryDirectory() as folder:
        path = write_adapter(Adapter(ADAPTER, tuple(parts)), model, f"{folder}/{ADAPTER}")
        gptoss_magic.attach(path)
    return ADAPTER


def read_rate() -> float:
    """Bytes a second."""
    from gptoss_magic.model.backends import native

    library, why = native()
    if library is None:
        raise RuntimeError(why)
    begin = time.perf_counter()
    library.read(memory())
    return READ_BYTES / (time.perf_counter() - begin)


@cache
def memory() -> Any:
    """As many bytes as no cache of a processor holds."""
    import torch

    return torch.ones(READ_BYTES, dtype=torch.uint8)


def active_bytes() -> int:
    """Weights that one token reads: the chosen experts', all others but the embedding's table."""
    model: Any = current().require().model
    config, total = model.config, 0
    for name, weight in model.named_parameters():
        size = weight.numel() * weight.element_size()
        if ".experts." in name:
            size = size * config.num_experts_per_tok // config.num_local_experts
        if name != "model.embed_tokens.weight" or config.tie_word_embeddings:
            total += size
    return total


def write_logits(path: str, prompt: list[int]) -> int:
    """Their number."""
    import torch

    model: Any = current().require().model
    with torch.no_grad():
        logits_V = model(torch.tensor([prompt]), logits_to_keep=1).logits[0, -1].float()
    logits_V.numpy().tofile(path)
    return len(logits_V)


def answer(words: Sequence[str]) -> tuple[float, ...]:
    """The numbers that a line asks for."""
    match words:
        case ["read"]:
            return (read_rate(),)
        case ["bytes"]:
            return (active_bytes(),)
        case ["logits", path, *ids]:
            return (write_logits(path, [int(i) for i in ids]),)
        case ["adapted", num_new, *ids]:
            use = current().using((adapter(),))
        case [num_new, *ids]:
            use = nullcontext()
    with use:
        return answered(int(num_new), [int(i) for i in ids])


def main() -> None:
    gptoss_magic.load(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        print(*answer(line.split()), flush=True)


if __name__ == "__main__":
    main()
