"""The engine against transformers' generate on the same resident built-in model."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from functools import cache
from typing import Any

import gptoss_magic
from benchmarks.figure import Figure, against_fastest, compared, interleaved
from benchmarks.process import Process
from gptoss_magic.generation import SamplingSettings
from gptoss_magic.session import current

NUM_NEW = 48
LONG = "Count slowly from one to one hundred, one number a line, and say something about each."


@cache
def resident() -> tuple[Any, Any]:
    """(model, engine) of the built-in model."""
    gptoss_magic.load("built-in")
    held, engine = current().require(), current().local_engine
    return held.model, engine


@cache
def transformers_own() -> Any:
    """The built-in checkpoint in a model of transformers' own, with its own attention."""
    from transformers import GptOssForCausalLM

    from gptoss_magic.model.stand_in import checkpoint

    return GptOssForCausalLM.from_pretrained(
        checkpoint(), dtype="bfloat16", attn_implementation="eager"
    ).eval()


def prompt(words: int) -> list[int]:
    """Token ids of a user message with about `words` words."""
    _, engine = resident()
    text = " ".join([LONG] * max(1, words // 16))
    return [*engine.codec.encode(text)]


def ours_s(ids: list[int], count: int) -> float:
    """Seconds of `count` greedy tokens from our engine."""
    _, engine = resident()
    begin = time.perf_counter()
    made = list(engine.stream(ids, SamplingSettings(temperature=0, max_tokens=count), cold=True))
    seconds = time.perf_counter() - begin
    return seconds * count / len(made)


def generate_s(ids: list[int], count: int) -> float:
    """Seconds of `count` greedy tokens from `generate` of the resident model."""
    import torch

    model, _ = resident()
    batch = torch.tensor([ids])
    begin = time.perf_counter()
    made = model.generate(
        batch, attention_mask=torch.ones_like(batch), max_new_tokens=count, do_sample=False
    )
    seconds = time.perf_counter() - begin
    return seconds * count / (made.shape[1] - len(ids))


def decode_vs_transformers(repeats: int) -> Figure:
    """Greedy tokens a second over a whole short answer."""
    from gptoss_magic.model.stand_in import checkpoint

    ids = prompt(16)
    command = [sys.executable, "-m", "benchmarks.theirs", str(checkpoint())]
    with closing(Process(command, "transformers")) as alone:
        peers = {
            "with our attention and matrix products": lambda: generate_s(ids, NUM_NEW),
            "alone": lambda: alone.ask(NUM_NEW, *ids)[1],
        }
        ours, peer, words = against_fastest(lambda: ours_s(ids, NUM_NEW), peers, repeats)
    what = f"{NUM_NEW} greedy tokens of the built-in model: our loop against generate {words} s"
    rates = NUM_NEW / ours, NUM_NEW / peer
    return compared("decode_vs_transformers", "tokens/s", *rates, what, less_is_better=False)


def first_token_vs_transformers(repeats: int) -> Figure:
    """Time to the first token of a longer prompt."""
    ids = prompt(400)
    ours, peer = interleaved(lambda: ours_s(ids, 1), lambda: generate_s(ids, 1), repeats)
    what = f"time to first token, prompt of {len(ids)} tokens: our engine against generate"
    return compared("first_token_vs_transformers", "s", ours, peer, what, less_is_better=True)
