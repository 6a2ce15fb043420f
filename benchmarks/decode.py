"""Decode and prefill of whole models: against llama.cpp, the memory's limit, a busy machine.

Nothing is drafted: each token is a step of its own. Figures of one pair come from the same rounds.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure, compared, medians
from benchmarks.models import (
    CASES,
    NUM_BUSY,
    NUM_NEW,
    NUM_PROMPT,
    Speed,
    against_llama,
    once,
    prompt,
    speeds,
)
from benchmarks.process import ours

if TYPE_CHECKING:
    from collections.abc import Callable

WHAT = {
    "decode": f"{NUM_NEW} greedy tokens behind {NUM_PROMPT}",
    "prefill": f"a prompt of {NUM_PROMPT} tokens",
}
BUSY = f"{NUM_BUSY} greedy tokens behind {NUM_PROMPT}"
BESIDE = " beside one busy process"


def rounded(found: dict[tuple[str, bool], Speed]) -> dict[str, dict[str, float]]:
    """All speeds of a pair, for `more`."""
    return {
        side + (BESIDE if busy else ""): {k: round(v, 2) for k, v in vars(speed).items()}
        for (side, busy), speed in found.items()
    }


def vs_llamacpp(name: str, case: str, key: str, repeats: int, *, busy: bool = False) -> Figure:
    """Tokens a second of 'decode' or 'prefill' against llama.cpp."""
    import torch

    found = against_llama(case, repeats)
    mine, theirs = (getattr(found[side, busy], key) for side in ("ours", "llama.cpp"))
    words = f"{BUSY}{BESIDE}" if busy else WHAT[key]
    what = f"{words}, {torch.get_num_threads()} threads; "
    made = compared(name, "tokens/s", mine, theirs, what + CASES[case].what, less_is_better=False)
    return replace(made, more=rounded(found))


@cache
def limits(case: str, repeats: int) -> dict[str, float]:
    """'decode' [tokens/s], 'read' [bytes/s, the fastest], 'bytes' of the active weights."""
    reads: list[float] = []

    def read() -> float:
        reads.append(side.ask("read")[0])
        return reads[-1]

    with closing(ours(CASES[case].path())) as side:
        seen = medians({"decode": lambda: once(side, busy=False).decode, "read": read}, repeats)
        return {"decode": seen["decode"], "read": max(reads), "bytes": side.ask("bytes")[0]}


def bandwidth_share(name: str, case: str, repeats: int) -> Figure:
    """Bytes of active weights a second while decoding, against a plain read."""
    seen = limits(case, repeats)
    rate = seen["bytes"] * seen["decode"]
    what = (
        f"{seen['bytes'] / 1e6:.0f} MB of active weights a token at {seen['decode']:.1f} tokens/s "
        f"against the fastest plain read by the same threads; {CASES[case].what.partition(',')[0]}"
    )
    return compared(name, "GB/s", rate / 1e9, seen["read"] / 1e9, what, less_is_better=False)


@cache
def own_speeds(case: str, repeats: int) -> dict[tuple[str, bool], Speed]:
    """Of our side alone."""
    with closing(ours(CASES[case].path())) as side:
        return speeds({"ours": side}, repeats)


def decode_busy_share(repeats: int) -> Figure:
    """Tokens a second beside a process that spins, against those alone."""
    found = own_speeds("built-in", repeats)
    alone, busy = (found["ours", key].decode for key in (False, True))
    what = f"{BUSY} of the built-in model{BESIDE}, against {NUM_NEW} alone"
    made = compared("decode_busy_share", "tokens/s", busy, alone, what, less_is_better=False)
    return replace(made, more=rounded(found))


def decode_with_adapter_share(repeats: int) -> Figure:
    """Tokens a second with LoRA on all experts in use, against the bare model's."""

    def rate(*words: Any) -> float:
        return NUM_NEW / side.ask(*words, NUM_NEW, *prompt())[1]

    with closing(ours("built-in")) as side:
        found = medians({"ours": lambda: rate("adapted"), "peer": rate}, repeats)
    what = f"{WHAT['decode']} of the built-in model, LoRA r=8 on all experts in use, against none"
    name = "decode_with_adapter_share"
    return compared(name, "tokens/s", found["ours"], found["peer"], what, less_is_better=False)


PAIRS = {
    "decode_vs_llamacpp": ("20b", "decode", False),
    "prefill_vs_llamacpp": ("20b", "prefill", False),
    "decode_busy_vs_llamacpp": ("20b", "decode", True),
    "builtin_decode_vs_llamacpp": ("built-in", "decode", False),
    "builtin_prefill_vs_llamacpp": ("built-in", "prefill", False),
    "builtin_decode_busy_vs_llamacpp": ("built-in", "decode", True),
    "builtin_packed_decode_vs_llamacpp": ("built-in packed", "decode", False),
}
SHARES = {"decode_bandwidth_share": "built-in", "decode_bandwidth_share_20b": "20b"}
DECODE: dict[str, Callable[[int], Figure]] = (
    {name: partial(bandwidth_share, name, case) for name, case in SHARES.items()}
    | {
        "decode_busy_share": decode_busy_share,
        "decode_with_adapter_share": decode_with_adapter_share,
    }
    | {
        name: partial(vs_llamacpp, name, case, key, busy=busy)
        for name, (case, key, busy) in PAIRS.items()
    }
)
