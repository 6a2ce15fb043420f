"""A run whose weights are cut over the ranks: opened, trained, and kept by all of them together.

A checkpoint is the same file as one process writes, its tensors gathered one after the other, so
that a run goes on with any number of processes, or with none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.ranks.wishes import Interrupted

if TYPE_CHECKING:
    from pathlib import Path

    from gptoss_magic.ranks.group import RankGroup
    from gptoss_magic.ranks.sharded_weights import Shards
    from gptoss_magic.ranks.wishes import RankControl
    from gptoss_magic.records import StepMetrics
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.tuning.trainer import Trainer


@dataclass(frozen=True)
class KeptTensor:
    """A tensor of a checkpoint: `mine` is this rank's slice, where `weight` is cut."""

    name: str
    weight: Any
    mine: Any


def opened_sharded(folder: Path, model: Any, group: RankGroup) -> Tuning:
    """The run of a folder where its newest checkpoint stands, its weights cut over the ranks.

    Raises InputError, CheckpointError.
    """
    from gptoss_magic.ranks.sharded_weights import parts_of, shard_weights
    from gptoss_magic.runs.parts import opened
    from gptoss_magic.runs.prepare import Tuning, trainer_of, work_of
    from gptoss_magic.tuning.runs import read_data

    run, checkpoint = opened(folder)
    data = read_data(run)
    work = work_of(model, run.method, [], data, watched=True)  # of the base, which goes now
    parts, shards = shard_weights(model, group, parts_of(run, checkpoint))
    trainer = trainer_of(model, run.method, parts, work, run.train)
    trainer.team = shards
    load_slices(checkpoint, trainer, shards)
    return Tuning(run, trainer, None, data)


def train_sharded(tuning: Tuning, control: RankControl, lines: Path) -> str:
    """Train to the end, keeping checkpoints; how it ended. Rank 0 writes the steps to `lines`.

    Raises Interrupted, the state kept.
    """
    trainer, kept = tuning.trainer, tuning.trainer.progress.step
    try:
        for metrics in trainer.run(control):
            if _is_first(trainer):
                with lines.open("a", encoding="utf-8") as stream:
                    stream.write(line_of(metrics))
            if control.saves:
                kept = _keep(tuning, kept)
    except Interrupted:
        _keep(tuning, kept, "interrupt")
        raise
    ended = "stopped" if control.stopped else "return"
    _keep(tuning, kept, ended)
    return ended


def _keep(tuning: Tuning, kept: int, finish: str = "") -> int:
    """Write what was done since step `kept`, and how the run ended; the step that is kept now."""
    from gptoss_magic.tuning.checkpoints import save_checkpoint
    from gptoss_magic.tuning.runs import save_run

    trainer, is_first = tuning.trainer, _is_first(tuning.trainer)
    shards: Any = trainer.team
    if trainer.progress.step > kept and is_first:
        save_checkpoint(tuning.run.folder, trainer, partial(write_whole, trainer=trainer))
    elif trainer.progress.step > kept:
        for entry in entries(trainer):
            shards.whole(entry.weight, entry.mine)
    if finish and is_first:
        save_run(replace(tuning.run, finish=finish))
    return trainer.progress.step


def _is_first(trainer: Any) -> bool:
    return bool(trainer.team.group.place.rank == 0)


def line_of(metrics: StepMetrics) -> str:
    """A step as a line of `steps.jsonl`."""
    return json.dumps(asdict(metrics)) + "\n"


def entries(trainer: Trainer) -> list[KeptTensor]:
    """All tensors of a checkpoint, the same on every rank, wide numbers first."""
    import torch

    from gptoss_magic.tuning.rounded import numbers

    found = [
        KeptTensor(f"parts.{name}", p, p.detach()) for name, p in trainer.parts.named_parameters()
    ]
    for index, values in trainer.optimizer.state_dict()["state"].items():
        for key, value in values.items():
            mine, weight = numbers(value), trainer.weights[index]
            is_cut = mine.shape == weight.shape
            found.append(KeptTensor(f"optimizer.{index}.{key}", weight if is_cut else None, mine))
    found.append(KeptTensor("rng", None, torch.get_rng_state()))
    return sorted(found, key=lambda entry: -entry.mine.dtype.itemsize)


def write_whole(file: Path, trainer: Trainer) -> None:
    """One safetensors file of all; every other rank gathers meanwhile. Raises OSError."""
    from gptoss_magic.tuning.streamed import write_streamed

    shards: Any = trainer.team
    every = entries(trainer)
    about = [
        (one.name, one.mine.dtype, _shape(shards, one.weight, one.mine.shape)) for one in every
    ]
    write_streamed(file, about, (shards.whole(one.weight, one.mine) for one in every))


def _shape(shards: Shards, weight: Any, own: Any) -> tuple[int, ...]:
    return tuple(own) if weight is None else shards.shape(weight)


def load_slices(path: Path, trainer: Trainer, shards: Shards) -> None:
    """Optimizer, random state and history of a checkpoint; the parts stand there already.

    Raises CheckpointError.
    """
    from safetensors import safe_open

    from gptoss_magic.tuning.checkpoints import STATE, TENSORS, reading, stand_at

    with reading(path), safe_open(path / TENSORS, framework="pt") as file:
        means = {}
        for name in file.keys():  # noqa: SIM118 (a file has no other)
            if name.startswith("optimizer."):
                weight = trainer.weights[int(name.split(".")[1])]
                means[name.removeprefix("optimizer.")] = _slice(file, name, shards, weight)
        stand_at(trainer, json.loads((path / STATE).read_text()), means, file.get_tensor("rng"))


def _slice(file: Any, name: str, shards: Shards, weight: Any) -> Any:
    """The part of a mean that this rank keeps, or a number as it is."""
    whole = file.get_slice(name)
    if tuple(whole.get_shape()) != shards.shape(weight) or not whole.get_shape():
        return file.get_tensor(name)
    return whole[shards.rows(weight)].clone()
