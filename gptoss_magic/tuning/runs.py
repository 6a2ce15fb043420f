"""Runs on the disk: what was trained on what, how it went, and what is needed to go on.

FOLDER/NAME/run.json        settings, model, data, parts, how it ended, the report
FOLDER/NAME/data.safetensors   the training texts as token ids with their masks
FOLDER/NAME/checkpoint-N/   the newest whole state; ADAPTER/ the result, in peft's format
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from gptoss_magic.atomic import whole_file, whole_folder
from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.records import Example
from gptoss_magic.tuning.checkpoints import latest_checkpoint, metrics_of, write_tensors
from gptoss_magic.tuning.methods import settings_from
from gptoss_magic.tuning.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import StepMetrics
    from gptoss_magic.records.provenance import ModelIdentity
    from gptoss_magic.tuning.settings import MethodSettings

    Data = tuple[Sequence[Sequence[Sequence[Example]]], Sequence[Sequence[Example]]]

ADAPTER, RECORD, DATA = "adapter", "run.json", "data.safetensors"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ReportRecord(TypedDict, total=False):
    """What `runs.report` found, as the run's file keeps it; {} before the end. See `Report`."""

    held_out: list[float | None]
    canary: list[dict[str, float]]
    faults: list[str]
    forgotten: dict[str, list[float]]
    answers: list[list[str]]
    attached: str


@dataclass(frozen=True)
class Run:
    """One run. `finish`: 'running', 'return', 'stopped' or 'interrupt'; `about`: data in figures.

    `model` is the base's identity, `parts` a `layout`, `base` the adapters that lay below it.
    """

    folder: Path
    method: MethodSettings
    train: TrainSettings
    model: ModelIdentity
    parts: list[dict[str, Any]]
    about: dict[str, int] = field(default_factory=dict)
    base: tuple[str, ...] = ()
    made: str = ""
    finish: str = "running"
    report: ReportRecord = field(default_factory=ReportRecord)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def adapter(self) -> Path:
        """Where its adapter lies, once it is written."""
        return self.folder / ADAPTER

    def history(self) -> list[StepMetrics]:
        """Metrics of the steps that its newest checkpoint has."""
        checkpoint = latest_checkpoint(self.folder)
        if checkpoint is None:
            return []
        state = json.loads((checkpoint / "state.json").read_text())
        return [metrics_of(one) for one in state["history"]]


def checked_name(name: str) -> str:
    """`name`, fit for a folder. Raises InputError."""
    if not NAME.fullmatch(name):
        raise InputError(f"name {name!r}: use letters, digits, '.', '_' and '-', at most 64")
    return name


def new_run(run: Run, data: Data) -> Run:
    """Make a run's folder, whole or not at all. Raises InputError where it is taken."""
    if run.folder.exists():
        raise InputError(f"{run.folder}: there is such a run; --resume goes on, --as names another")
    begun = replace(run, made=datetime.now(UTC).isoformat(timespec="microseconds"))
    with whole_folder(run.folder) as fresh:
        write_tensors(fresh / DATA, as_tensors(*data))
        (fresh / RECORD).write_text(json.dumps(_record(begun), indent=1))
    return begun


def save_run(run: Run) -> None:
    """Write what changed. Raises StorageError; the earlier record stays."""
    with whole_file(run.folder / RECORD) as fresh:
        fresh.write_text(json.dumps(_record(run), indent=1))


def read_run(folder: Path) -> Run:
    """The run of a folder. Raises InputError or CheckpointError."""
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder}: no run lies there; %gptoss runs lists them")
    try:
        found = json.loads((folder / RECORD).read_text())
        method, train = settings_from(found["method"]), TrainSettings(**found["train"])
        given = {**found, "method": method, "train": train, "base": tuple(found["base"])}
        return Run(folder, **given)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / RECORD}: damaged ({error}); delete the run") from error


def all_runs(folder: Path) -> list[Run]:
    """Every run in `folder`, oldest first."""
    found = [read_run(file.parent) for file in folder.glob(f"*/{RECORD}")]
    return sorted(found, key=lambda run: (run.made, run.name))


def read_data(run: Run) -> tuple[list[list[list[Example]]], list[list[Example]]]:
    """(steps, held-out sequences) of a run. Raises CheckpointError."""
    from safetensors.torch import load_file

    try:
        return from_tensors(load_file(run.folder / DATA))
    except Exception as error:
        raise CheckpointError(f"{run.folder / DATA}: damaged ({error}); delete the run") from error


def as_tensors(
    steps: Sequence[Sequence[Sequence[Example]]], held_out: Sequence[Sequence[Example]]
) -> dict[str, Any]:
    """All tokens in a row, with the lengths of examples, sequences and steps."""
    import torch

    sequences = [sequence for step in steps for sequence in step] + list(held_out)
    examples = [example for sequence in sequences for example in sequence]

    def numbers(values: Any, dtype: Any = torch.int64) -> Any:
        return torch.tensor(list(values), dtype=dtype)

    return {
        "ids": numbers((t for e in examples for t in e.ids), torch.int32),
        "trained": numbers((t for e in examples for t in e.trained), torch.uint8),
        "tokens": numbers(len(e.ids) for e in examples),
        "examples": numbers(len(sequence) for sequence in sequences),
        "sequences": numbers(len(step) for step in steps),
    }


def from_tensors(
    tensors: dict[str, Any],
) -> tuple[list[list[list[Example]]], list[list[Example]]]:
    """What `as_tensors` was given."""
    ids, trained = iter(tensors["ids"].tolist()), iter(tensors["trained"].bool().tolist())
    examples = iter(
        [
            Example(
                tuple(next(ids) for _ in range(size)), tuple(next(trained) for _ in range(size))
            )
            for size in tensors["tokens"].tolist()
        ]
    )
    sequences = [[next(examples) for _ in range(size)] for size in tensors["examples"].tolist()]
    steps, first = [], 0
    for size in tensors["sequences"].tolist():
        steps.append(sequences[first : first + size])
        first += size
    return steps, sequences[first:]


def _record(run: Run) -> dict[str, Any]:
    plain = {name: getattr(run, name) for name in ("model", "parts", "about", "made", "finish")}
    settings = {"method": run.method.record(), "train": run.train.record()}
    return {**settings, **plain, "base": list(run.base), "report": run.report}
