"""A whole model of a few true-shaped layers: ours against transformers, each in its own process."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from benchmarks.figure import Figure, Unavailable, compared, last_json
from benchmarks.make_checkpoint import make
from gptoss_magic.model.plan import free_bytes

LAYERS = {"20b": 4, "120b": 1}
NEEDED_GB = {"20b": 13, "120b": 17}  # what transformers takes at most while it dequantises
NUM_NEW, PREFILL = 24, 256
MOST_ROUNDS = 2
PACKED = """
import gptoss_magic
from gptoss_magic.records import SamplingSettings
from gptoss_magic.session import current
gptoss_magic.load(path)
engine = current().local_engine
model = engine.model
def tokens(prompt, num):
    settings = SamplingSettings(temperature=0, max_tokens=num, lookup=0)
    yield from engine.stream(prompt, settings, cold=True)
"""
BEGIN = """
from gptoss_magic.model.imports import sleep_at_barriers
sleep_at_barriers()
"""
TRANSFORMERS = """
from transformers import DynamicCache, GptOssForCausalLM
model = GptOssForCausalLM.from_pretrained(path, dtype="auto").eval()
def tokens(prompt, num):
    cache, ids = DynamicCache(config=model.config), torch.tensor([prompt])
    for _ in range(num):
        with torch.no_grad():
            out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        ids = out.logits[:, -1].argmax(-1)[None]
        yield ids
"""
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from statistics import median
path, num_new, prefill, rounds = sys.argv[1], *map(int, sys.argv[2:5])
import torch
import transformers.models.gpt_oss.modeling_gpt_oss
def peak():  # ru_maxrss would begin with what the parent had
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
imported, begin = peak(), time.perf_counter()
{set_up}
load_s, loaded = time.perf_counter() - begin, peak()
prompt = torch.randint(8, 264, (prefill,), generator=torch.Generator().manual_seed(0)).tolist()
def seconds(num):
    times = [time.perf_counter()]
    for _ in tokens(prompt, num):
        times.append(time.perf_counter())
    return times
first, step = [], []
for number in range(rounds + 1):
    times = seconds(num_new + 1)
    if number:
        first.append(times[1] - times[0])
        step.append((times[-1] - times[1]) / (len(times) - 2))
hidden = torch.ones(1, 1, model.config.hidden_size, dtype=model.dtype)
with torch.no_grad():
    model.lm_head(hidden)
    begin = time.perf_counter()
    for _ in range(num_new):
        model.lm_head(hidden)
head_s = (time.perf_counter() - begin) / num_new
print(json.dumps(dict(load=load_s, peak=peak(), imported=imported, loaded=loaded,
                      decode=1 / median(step), head=1000 * head_s,
                      prefill=prefill / median(first))))
"""


@cache
def checkpoint(like: str, layers: int) -> Path:
    """The random checkpoint, kept among the temporary files."""
    return make(like, layers, Path(gettempdir()) / f"gptoss_magic-like-{like}-{layers}")


def apart(code: str, *arguments: object) -> dict[str, Any]:
    """The JSON in the last line that `code` prints in a fresh interpreter.

    Code that takes our package begins as `%load_ext` does, before torch comes.
    """
    whole = BEGIN + code if "gptoss_magic" in code else code
    return last_json([sys.executable, "-c", whole, *map(str, arguments)], "the measured process")


def require_free(needed_gb: float) -> None:
    """Raises Unavailable where less memory is free."""
    free_gb = free_bytes("cpu") / 1e9
    if free_gb < needed_gb:
        raise Unavailable(f"transformers needs {needed_gb} GB of memory, {free_gb:.1f} GB are free")


@cache
def measured(set_up: str, like: str, rounds: int = MOST_ROUNDS) -> dict[str, Any]:
    """load [s], peak [GB], decode and prefill [tokens/s], head [ms] of a fresh process.

    `imported` and `loaded`: the peak [GB] so far, before and behind the load.
    """
    require_free(NEEDED_GB[like])
    path = checkpoint(like, LAYERS[like])
    return apart(MEASURE.format(set_up=set_up), path, NUM_NEW, PREFILL, rounds)


def packed_gb(like: str) -> float:
    """The checkpoint's size."""
    files = checkpoint(like, LAYERS[like]).glob("*.safetensors")
    return sum(file.stat().st_size for file in files) / 1e9


def about(like: str) -> str:
    """The checkpoint in words."""
    layers = LAYERS[like]
    return f"{layers} layer{'s' * (layers > 1)} of {like} shapes, {packed_gb(like):.2f} GB packed"


def whole_figure(
    name: str, key: str, unit: str, what: str, repeats: int, *, less: bool, like: str = "20b"
) -> Figure:
    """One measure of both; the packed process runs first, so that the file is cached for both."""
    rounds = min(repeats, MOST_ROUNDS)
    ours, peer = (measured(side, like, rounds)[key] for side in (PACKED, TRANSFORMERS))
    words = f"{what}; {about(like)}, against transformers"
    return compared(name, unit, ours, peer, words, less_is_better=less)


def load_peak_memory_vs_transformers(repeats: int) -> Figure:
    """Peak resident memory of load, prefill and decode."""
    what = "peak memory of load, prefill and decode"
    return whole_figure("load_peak_memory_vs_transformers", "peak", "GB", what, repeats, less=True)


def load_peak_memory_vs_packed(repeats: int) -> Figure:
    """Bytes of the packed weights against the peak of load, prefill and decode."""
    seen = measured(PACKED, "20b", min(repeats, MOST_ROUNDS))
    what = (
        f"peak memory of load, prefill and decode against the packed weights; {about('20b')}; of "
        f"the peak {seen['imported']:.2f} GB stood before the load, {seen['loaded']:.2f} behind it"
    )
    name, size = "load_peak_memory_vs_packed", packed_gb("20b")
    return compared(name, "GB", seen["peak"], size, what, less_is_better=True)


def load_time_vs_transformers(repeats: int) -> Figure:
    """Seconds until the model can be used."""
    return whole_figure("load_time_vs_transformers", "load", "s", "load time", repeats, less=True)


def decode_packed_vs_transformers(repeats: int) -> Figure:
    """Greedy tokens a second."""
    what = f"{NUM_NEW} greedy tokens behind {PREFILL}"
    return whole_figure(
        "decode_packed_vs_transformers", "decode", "tokens/s", what, repeats, less=False
    )


def prefill_packed_vs_transformers(repeats: int) -> Figure:
    """Prompt tokens a second."""
    what = f"a prompt of {PREFILL} tokens"
    return whole_figure(
        "prefill_packed_vs_transformers", "prefill", "tokens/s", what, repeats, less=False
    )


def decode_head_share(repeats: int) -> Figure:
    """Milliseconds of the head on one row; its share of the step in words."""
    shares = [
        f"{found['head'] * found['decode'] / 10:.0f} %"
        for found in (
            measured(side, "20b", min(repeats, MOST_ROUNDS)) for side in (PACKED, TRANSFORMERS)
        )
    ]
    what = f"the head (a part of the vocabulary) takes {shares[0]} of our decode step, {shares[1]}"
    return whole_figure("decode_head_share", "head", "ms", f"{what} of theirs", repeats, less=True)


def load_peak_memory_120b_vs_transformers(repeats: int) -> Figure:
    """Peak resident memory of load, prefill and decode, 128 experts."""
    what, name = "peak memory of load, prefill and decode", "load_peak_memory_120b_vs_transformers"
    return whole_figure(name, "peak", "GB", what, repeats, less=True, like="120b")


def decode_packed_120b_vs_transformers(repeats: int) -> Figure:
    """Greedy tokens a second, 128 experts."""
    what, name = f"{NUM_NEW} greedy tokens behind {PREFILL}", "decode_packed_120b_vs_transformers"
    return whole_figure(name, "decode", "tokens/s", what, repeats, less=False, like="120b")


WHOLE = (
    load_time_vs_transformers,
    load_peak_memory_vs_transformers,
    load_peak_memory_vs_packed,
    decode_packed_vs_transformers,
    prefill_packed_vs_transformers,
    decode_head_share,
    load_peak_memory_120b_vs_transformers,
    decode_packed_120b_vs_transformers,
)
