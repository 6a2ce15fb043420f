"""Checkpoints of a run: weights, optimizer, random state, metrics; complete or not there at all."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import whole_folder
from gptoss_magic.errors import CheckpointError
from gptoss_magic.records import Drift, RankStep, StepMetrics, SuiteProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gptoss_magic.tuning.trainer import Trainer

PREFIX = "checkpoint-"
NAME = re.compile(rf"{PREFIX}\d+")  # other folders beside them are the user's
TENSORS, STATE = "state.safetensors", "state.json"


def save_checkpoint(
    folder: Path, trainer: Trainer, write: Callable[[Path], None] | None = None
) -> Path:
    """Write `folder`/checkpoint-STEP, then drop older ones. Raises StorageError; they stay then.

    `write` makes the file of tensors, where this process has not all of them.
    """
    step = trainer.progress.step
    path = folder / f"{PREFIX}{step:06d}"
    if not path.exists():
        with whole_folder(path) as fresh:
            if write is None:
                write_tensors(fresh / TENSORS, _tensors(trainer))
            else:
                write(fresh / TENSORS)
            state = {
                "step": step,
                "rate": trainer.rate,
                "history": [asdict(metrics) for metrics in trainer.progress.history],
            }
            (fresh / STATE).write_text(json.dumps(state))
    halves = folder.glob(f".{PREFIX}*")  # of a kernel that died while it wrote
    for old in (*halves, *(one for one in _all(folder) if one.name < path.name)):
        shutil.rmtree(old, ignore_errors=True)
    return path


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run's folder."""
    return max(_all(folder), default=None, key=lambda path: path.name)


def load_checkpoint(path: Path, trainer: Trainer) -> None:
    """Put `trainer` where it stood. Raises CheckpointError for a damaged or foreign one."""
    from safetensors.torch import load_file

    with reading(path):
        state = json.loads((path / STATE).read_text())
        tensors = load_file(path / TENSORS, device="cpu")
        trainer.parts.load_state_dict(_under(tensors, "parts."))
        stand_at(trainer, state, _under(tensors, "optimizer."), tensors["rng"])


def stand_at(
    trainer: Trainer, state: Mapping[str, Any], means: Mapping[str, Any], rng: Any
) -> None:
    """Optimizer, random state, step, rate and history, as a checkpoint has them."""
    import torch

    _restore_optimizer(trainer, means)
    torch.set_rng_state(rng)
    history = [metrics_of(one) for one in state["history"]]
    trainer.progress.step, trainer.rate = int(state["step"]), state["rate"]
    trainer.progress.history[:] = history


def load_parts(path: Path, parts: Sequence[Any]) -> None:
    """Put the weights of the parts alone where a checkpoint has them. Raises CheckpointError."""
    import torch
    from safetensors.torch import load_file

    with reading(path):
        tensors = load_file(path / TENSORS, device="cpu")
        torch.nn.ModuleList(parts).load_state_dict(_under(tensors, "parts."))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a damaged checkpoint raises into one line that names it."""
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: damaged ({first}); delete it to use an older one"
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):
            raise CheckpointError(f"{path}: damaged ({error}); delete it") from error
        raise


def metrics_of(values: dict[str, Any]) -> StepMetrics:
    """A `StepMetrics` of what `asdict` made of it."""
    drift, probe = values.get("drift"), values.get("probe")
    read = {
        "drift": Drift(**drift) if drift else None,
        "probe": SuiteProbe(**probe) if probe else None,
        "ranks": tuple(RankStep(**one) for one in values.get("ranks", ())),
    }
    return StepMetrics(**{**values, **read})


def write_tensors(file: Path, tensors: dict[str, Any]) -> None:
    """A safetensors file of `tensors`, on any device."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)


def _tensors(trainer: Trainer) -> dict[str, Any]:
    import torch

    from gptoss_magic.tuning.rounded import numbers

    found = {f"parts.{name}": tensor for name, tensor in trainer.parts.state_dict().items()}
    for index, values in trainer.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{key}": numbers(value) for key, value in values.items()}
    return found | {"rng": torch.get_rng_state()}


def _restore_optimizer(trainer: Trainer, tensors: Mapping[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    own = getattr(trainer.optimizer, "restore", None)
    if own is not None:
        own(state)
        return
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _under(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _all(folder: Path) -> list[Path]:
    named = (path for path in folder.glob(f"{PREFIX}*") if NAME.fullmatch(path.name))
    return [path for path in named if (path / STATE).is_file()]
