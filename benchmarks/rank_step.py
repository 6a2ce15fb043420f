"""One rank of a measured step: LoRA on attention and all experts of a few true-shaped layers.

    python -m torch.distributed.run --nproc-per-node N benchmarks/rank_step.py PATH STRATEGY 512 3

Rank 0 prints a JSON line: seconds of a warm step (the median), the loss of the first, and of each
rank the memory that is its own or its share of what it shares with others (PSS), in GB.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

import torch

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

TEXTS = 4  # of a step, of equal lengths


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


def trainer_of(group: RankGroup, path: str, strategy: str, tokens: int, steps: int) -> Trainer:
    """As a rank makes its own."""
    model = load(LoadSettings(path), lambda *_: None).model
    chosen = strategy_of(strategy)
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
        trainer = trainer_of(group, path, strategy, int(tokens), int(steps) + 1)
        losses, seconds = [], []
        begin = time.perf_counter()
        for metrics in trainer.run(Free()):
            losses.append(metrics.loss)
            seconds.append(time.perf_counter() - begin)
            begin = time.perf_counter()
        group.summed(0)  # nobody has left
        memory = [one[0] for one in group.each([pss_gb()])]
        if place.rank == 0:
            print(json.dumps({"time": median(seconds[1:]), "loss": losses[0], "memory": memory}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
