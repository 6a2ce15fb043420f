"""A step on two processes of one thread each against one process of one thread."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure, Unavailable, compared, last_json
from benchmarks.whole import LAYERS, about, checkpoint, require_free

SCRIPT = Path(__file__).parent / "rank_step.py"
TOKENS, STEPS, NEEDED_GB = 256, 1, 8
WIRE = 1, 128  # layers and tokens: two processes hold its experts in bf16, and are done in time
LARGEST_DIFFERENCE = 0.02  # of the losses


@cache
def measured(
    strategy: str, count: int, steps: int, layers: int = LAYERS["20b"], tokens: int = TOKENS
) -> dict[str, Any]:
    """time [s] of a warm step, loss of the first; of each rank memory, peak (PSS), sent [GB].

    Without `steps` that are timed the first is.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise Unavailable("memory that processes share is counted on Linux only")
    require_free(NEEDED_GB)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--local-addr", "127.0.0.1", "--nproc-per-node", str(count)]
    words = [str(SCRIPT), str(checkpoint("20b", layers)), strategy, str(tokens), str(steps)]
    root = str(SCRIPT.parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return last_json([*launcher, *words], f"{count} processes", env=environment)


def pair(strategy: str, repeats: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(two processes, one), which must have learned from the same texts."""
    steps = min(repeats, STEPS)
    two, one = measured(strategy, 2, steps), measured("ddp", 1, steps)
    if abs(two["loss"] / one["loss"] - 1) > LARGEST_DIFFERENCE:
        raise RuntimeError(f"the steps differ: {two} against {one}")
    return two, one


def what(strategy: str) -> str:
    """The step in words."""
    return (
        f"a step of LoRA r=8 on attention and all experts, {TOKENS} tokens, {about('20b')}: two "
        f"processes ({strategy}) of one thread each against one of one thread"
    )


def replicated_host_memory_share(repeats: int) -> Figure:
    """Memory of one process over that of two ranks together: packed weights are mapped once."""
    two, one = pair("ddp", repeats)
    words = f"memory (PSS) of {what('ddp')}"
    ours, peer = sum(two["memory"]), sum(one["memory"])
    return compared("replicated_host_memory_share", "GB", ours, peer, words, less_is_better=True)


def ddp_step_2_processes_vs_1(repeats: int) -> Figure:
    """Time of a step."""
    two, one = pair("ddp", repeats)
    name, words = "ddp_step_2_processes_vs_1", f"time of {what('ddp')}"
    return compared(name, "s", two["time"], one["time"], words, less_is_better=True)


def ep_step_2_processes_vs_1(repeats: int) -> Figure:
    """Time of a step whose tokens travel."""
    two, one = pair("ep", repeats)
    name, words = "ep_step_2_processes_vs_1", f"time of {what('ep')}"
    return compared(name, "s", two["time"], one["time"], words, less_is_better=True)


def fsdp2_step_2_processes_memory_share(repeats: int) -> Figure:
    """Peak memory of a step on one process over that of a rank with half of the packed experts."""
    two, one = pair("fsdp", repeats)
    name, words = "fsdp2_step_2_processes_memory_share", f"peak memory (PSS) of {what('fsdp')}"
    ours, peer = max(two["peak"]), max(one["peak"])
    return compared(name, "GB", ours, peer, words, less_is_better=True)


def ep_wire_bytes_vs_fsdp_bf16(_repeats: int) -> Figure:
    """Bytes that leave a rank: tokens that travel, against bf16 experts that are gathered."""
    tokens, experts = (measured(how, 2, 0, *WIRE) for how in ("ep", "fsdp-bf16"))
    words = (
        f"bytes that leave a rank in a step of {WIRE[1]} tokens on two processes, counted; LoRA "
        f"r=8 on attention and all experts, {WIRE[0]} layer of 20b shapes: tokens that travel (ep) "
        "against FSDP2 of the same experts in bf16"
    )
    ours, peer = max(tokens["sent"]), max(experts["sent"])
    return compared("ep_wire_bytes_vs_fsdp_bf16", "GB", ours, peer, words, less_is_better=True)


RANKS = {
    figure.__name__: figure
    for figure in (
        replicated_host_memory_share,
        ddp_step_2_processes_vs_1,
        ep_step_2_processes_vs_1,
        fsdp2_step_2_processes_memory_share,
        ep_wire_bytes_vs_fsdp_bf16,
    )
}
