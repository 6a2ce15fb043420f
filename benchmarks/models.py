"""Whole models side by side: ours by the public engine, llama.cpp on the same weights.

Each side is a process that stays; prompts take turns, alone and beside a busy process.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import llama
from benchmarks.figure import rested
from benchmarks.gguf_model import as_gguf
from benchmarks.process import Process, busy_neighbour, ours
from benchmarks.whole import LAYERS, checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

NUM_PROMPT, NUM_NEW = 256, 24
NUM_BUSY = 8  # tokens beside a busy process, where llama.cpp may take seconds for each
# llama.cpp rounds activations to 8 bits, which random weights carry through four layers
LARGEST_ERROR = 0.2


@dataclass(frozen=True)
class Case:
    """A model as both sides know it; `gguf` gives llama.cpp's file.

    `same`: bit for bit. `busy`: asked beside a busy process, too.
    """

    name: str
    what: str
    same: bool
    busy: bool = True

    def path(self) -> str:
        """What our side loads."""
        from gptoss_magic.model.stand_in import checkpoint as stand_in

        if self.name == "20b":
            return str(checkpoint("20b", LAYERS["20b"]))
        return str(stand_in(packed=True)) if self.name == "built-in packed" else "built-in"

    def gguf(self) -> Path:
        """What llama.cpp loads."""
        from gptoss_magic.model.stand_in.source import verified_source

        if self.name == "20b":
            return as_gguf(checkpoint("20b", LAYERS["20b"]))
        return verified_source()


CASES = {
    case.name: case
    for case in (
        Case("20b", f"{LAYERS['20b']} layers of 20b shapes, the same MXFP4 and bf16 weights", True),
        Case("built-in", "the built-in model in bf16, its Q4_1 source in llama.cpp", False),
        Case("built-in packed", "the built-in model in MXFP4, its Q4_1 source", False, busy=False),
    )
}


@dataclass(frozen=True)
class Speed:
    """Tokens a second."""

    prefill: float
    decode: float


def prompt() -> list[int]:
    """Token ids that any of the models has."""
    return [20 + (7 * number) % 200 for number in range(NUM_PROMPT)]


def once(side: Process, *, busy: bool) -> Speed:
    """One prompt and what follows it."""
    num_new = NUM_BUSY if busy else NUM_NEW
    with busy_neighbour() if busy else nullcontext():
        prefill_s, decode_s = side.ask(num_new, *prompt())
    return Speed(NUM_PROMPT / prefill_s, num_new / decode_s)


def speeds(
    sides: Mapping[str, Process], repeats: int, *, with_busy: bool = True
) -> dict[tuple[str, bool], Speed]:
    """By side and whether beside a busy process: medians, taken in turns after one warm round."""
    rounds: dict[tuple[str, bool], list[Speed]] = {}
    for side in sides.values():
        once(side, busy=False)
    for _ in range(repeats):
        for busy in (False, True) if with_busy else (False,):
            for name, side in sides.items():
                seen = rested(lambda side=side, busy=busy: once(side, busy=busy))
                rounds.setdefault((name, busy), []).append(seen)
    return {key: middle(seen) for key, seen in rounds.items()}


def middle(seen: list[Speed]) -> Speed:
    """The median of each."""
    return Speed(median(one.prefill for one in seen), median(one.decode for one in seen))


@cache
def against_llama(name: str, repeats: int) -> dict[tuple[str, bool], Speed]:
    """'ours' and 'llama.cpp', on as many threads. Raises Unavailable."""
    import torch

    case = CASES[name]
    llama.program("llama_model")  # raises where there is none, before a model is made
    with TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "logits"
        peer = llama.model(case.gguf(), file, torch.get_num_threads())
        sides = {"ours": ours(case.path()), "llama.cpp": peer}
        for side in sides.values():
            stack.enter_context(closing(side))
        if case.same:
            check_same(sides["ours"], peer, file)
        return speeds(sides, repeats, with_busy=case.busy)


def check_same(mine: Process, peer: Process, file: Path) -> None:
    """Raises where the two do not compute the same model."""
    import numpy as np

    peer.ask(1, *prompt())
    theirs = np.fromfile(file, dtype=np.float32)
    mine.ask("logits", file, *prompt())
    logits = np.fromfile(file, dtype=np.float32)
    error = float(np.linalg.norm(theirs - logits) / np.linalg.norm(logits))
    if not error < LARGEST_ERROR:
        raise RuntimeError(f"llama.cpp's logits differ from ours by {error:.3f} of their norm")
