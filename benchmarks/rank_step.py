"""One rank of a measured step: LoRA on attention and all experts of a few true-shaped layers.

    python -m torch.distributed.run --nproc-per-node N benchmarks/rank_step.py PATH STRATEGY 512 3

STRATEGY is one of the package's, or `fsdp-bf16`: the same experts in bf16, gathered so. Rank 0
prints a JSON line: seconds of a warm step (the median), the loss of the first, and of each rank, in
GB, the memory that is its own or its share of what it shares (PSS) behind the last step, the most
of it within that step, and what it sends in it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.wire import Wire
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.ranks.anchor import anchor
from gptoss_magic.ranks.group import RankGroup, joined, my_place
from gptoss_magic.ranks.replicated import InStep, Replicated
from gptoss_magic.ranks.strategies import strategy_of
from gptoss_magic.records import Example
from gptoss_magic.tuning.methods import make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.trainer import Trainer, TrainingWork

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = 4  # of a step, of equal lengths
WIDE = "fsdp-bf16"
LOOK_S = 0.1


class Free:
    """Nobody touches the controls."""

    stopped, rate = False, None

    def wait(self) -> bool:
        return True


def texts(tokens: int) -> list[list[Example]]:
    """One sequence for each text."""
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(8, 264, (TEXTS, tokens // TEXTS), generator=draw).tolist()
    return [[Example(tuple(row), (True,) * len(row))] for row in rows]


def pss_gb() -> float:
    """Of this process, what it shares divided among those that do."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e9


@contextmanager
def watched(seen: list[float]) -> Iterator[None]:
    """Within, `seen` grows by this process's memory every now and then."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_S):
            seen.append(pss_gb())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def widen(model: Any) -> None:
    """Packed experts become bf16 ones."""
    from gptoss_magic.model.parts import dense_experts

    for layer in model.get_decoder().layers:
        layer.mlp.experts = dense_experts(layer.mlp.experts, model.config)


def trainer_of(group: RankGroup, path: str, strategy: str, tokens: int, steps: int) -> Trainer:
    """As a rank makes its own."""
    model = load(LoadSettings(path), lambda *_: None).model
    if strategy == WIDE:
        widen(model)
    chosen = strategy_of(strategy.removesuffix("-bf16"))
    settings = settings_of("last-layers", rank=8, num_layers=model.config.num_hidden_layers)
    parts = make_parts(model, Context(settings))
    chosen.spread(model, group)
    work = TrainingWork([texts(tokens)] * steps)
    trainer = Trainer(model, parts, work, TrainSettings(learning_rate=1e-3), checkpointing=True)
    trainer.team = (InStep if chosen.in_step else Replicated)(group)
    if chosen.in_step:
        anchor(model, parts)
    return trainer


def main(path: str, strategy: str, tokens: str, steps: str) -> None:
    """Train and print."""
    place = my_place()
    with joined(place, torch.device("cpu"), None) as group:
        trainer = trainer_of(group, path, strategy, int(tokens), int(steps) + 2)
        run, losses, seconds = trainer.run(Free()), [], []
        for _ in range(int(steps) + 1):
            begin = time.perf_counter()
            losses.append(next(run).loss)
            seconds.append(time.perf_counter() - begin)
        peak: list[float] = []
        with watched(peak), Wire(place.rank, place.size) as wire:
            next(run)  # being looked at takes time
        run.close()
        group.summed(0)  # nobody has left
        memory, most, sent = zip(*group.each([pss_gb(), max(peak), wire.sent / 1e9]), strict=True)
        if place.rank == 0:
            found = {"time": median(seconds[1:] or seconds), "loss": losses[0], "memory": memory}
            print(json.dumps(found | {"peak": most, "sent": sent}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
