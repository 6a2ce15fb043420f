"""A whole model of four 20b-shaped layers: ours against transformers, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from benchmarks.figure import Figure, compared
from benchmarks.make_checkpoint import make

LAYERS, NUM_NEW, PREFILL = 4, 24, 256
PACKED = """
from gptoss_magic.model.load import LoadSettings, load
model = load(LoadSettings(path), lambda *_: None).model
from gptoss_magic.model.kv_cache import KVCache
new_cache = lambda: KVCache(model.config)
"""
TRANSFORMERS = """
from transformers import DynamicCache, GptOssForCausalLM
model = GptOssForCausalLM.from_pretrained(path, dtype="auto").eval()
new_cache = lambda: DynamicCache(config=model.config)
"""
MEASURE = """
import json, resource, sys, time
path, num_new, prefill = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import torch
import transformers.models.gpt_oss.modeling_gpt_oss
begin = time.perf_counter()
{set_up}
load_s = time.perf_counter() - begin
def run(ids, cache):
    with torch.no_grad():
        out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[:, -1].argmax(-1)[None]
prompt = torch.randint(8, 264, (1, prefill), generator=torch.Generator().manual_seed(0))
run(prompt, new_cache())
cache, begin = new_cache(), time.perf_counter()
token = run(prompt, cache)
prefill_s = time.perf_counter() - begin
run(token, cache)
begin = time.perf_counter()
for _ in range(num_new):
    token = run(token, cache)
decode_s = time.perf_counter() - begin
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps(dict(load=load_s, peak=peak / 1e9, decode=num_new / decode_s,
                      prefill=prefill / prefill_s)))
"""


@cache
def checkpoint() -> Path:
    """The random checkpoint, kept among the temporary files."""
    return make("20b", LAYERS, Path(gettempdir()) / f"gptoss_magic-like-20b-{LAYERS}")


@cache
def measured(set_up: str) -> dict[str, Any]:
    """load [s], peak [GB], decode and prefill [tokens/s] of a fresh process."""
    code = MEASURE.format(set_up=set_up)
    arguments = [str(checkpoint()), str(NUM_NEW), str(PREFILL)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def whole_figure(name: str, key: str, unit: str, what: str, *, less: bool) -> Figure:
    """One measure of both; the packed process runs first, so that the file is cached for both."""
    ours, peer = measured(PACKED)[key], measured(TRANSFORMERS)[key]
    size = sum(file.stat().st_size for file in checkpoint().glob("*.safetensors")) / 1e9
    about = f"{what}; {LAYERS} layers of 20b shapes, {size:.2f} GB packed, against transformers"
    return compared(name, unit, ours, peer, about, less_is_better=less)


def load_peak_memory_vs_transformers(_repeats: int) -> Figure:
    """Peak resident memory of load, prefill and decode."""
    what = "peak memory of load, prefill and decode"
    return whole_figure("load_peak_memory_vs_transformers", "peak", "GB", what, less=True)


def load_time_vs_transformers(_repeats: int) -> Figure:
    """Seconds until the model can be used."""
    return whole_figure("load_time_vs_transformers", "load", "s", "load time", less=True)


def decode_packed_vs_transformers(_repeats: int) -> Figure:
    """Greedy tokens a second."""
    what = f"{NUM_NEW} greedy tokens behind {PREFILL}"
    return whole_figure("decode_packed_vs_transformers", "decode", "tokens/s", what, less=False)


def prefill_packed_vs_transformers(_repeats: int) -> Figure:
    """Prompt tokens a second."""
    what = f"a prompt of {PREFILL} tokens"
    return whole_figure("prefill_packed_vs_transformers", "prefill", "tokens/s", what, less=False)


WHOLE = (
    load_time_vs_transformers,
    load_peak_memory_vs_transformers,
    decode_packed_vs_transformers,
    prefill_packed_vs_transformers,
)
