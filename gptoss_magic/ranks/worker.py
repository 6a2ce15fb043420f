"""One rank of a launched run: `python -m gptoss_magic.ranks.worker RUN`, by torch's launcher.

It does what `--resume` does: the run's newest checkpoint, which may be of step 0, is gone on from.
Rank 0 also measures, keeps checkpoints, and writes the steps down.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.children import leave
from gptoss_magic.errors import error_line
from gptoss_magic.ranks.folder import RanksFolder, RankState
from gptoss_magic.ranks.group import joined, my_place
from gptoss_magic.ranks.processes import Process
from gptoss_magic.ranks.sharded_run import line_of, opened_sharded, train_sharded
from gptoss_magic.ranks.strategies import strategy_of
from gptoss_magic.ranks.verify import compare
from gptoss_magic.ranks.wishes import Interrupted, RankControl, Watchman
from gptoss_magic.runs.prepare import SAVE_EVERY_S

if TYPE_CHECKING:
    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.ranks.group import RankGroup, RankPlace
    from gptoss_magic.runs.prepare import Tuning

STORE = "GPTOSS_MAGIC_STORE"  # the file by which the ranks of one machine find each other


def main(words: list[str]) -> int:
    """Train as one rank of the run whose folder is given."""
    run, place = Path(words[0]), my_place()
    folder = RanksFolder.of(run)
    launch, me = folder.launch(), Process.of()
    watchman = Watchman(launch.owner, launch.agent)
    watchman.start()
    folder.set_state(place.rank, RankState(me))
    try:
        ended, error = _work(run, folder, launch, place, watchman), ""
    except Interrupted:
        ended, error = "interrupt", ""
    except Exception as failed:  # noqa: BLE001 (its line is told by who follows)
        ended, error = "error", error_line(failed)
        print(f"rank {place.rank}: {error}", file=sys.stderr, flush=True)
    folder.set_state(place.rank, RankState(me, ended, error, time.time()))
    watchman.stop()
    return int(ended == "error")


def _work(
    run: Path, folder: RanksFolder, launch: Launch, place: RankPlace, watchman: Watchman
) -> str:
    """Train until the end; how it ended. Raises Interrupted, and what a failing rank raises."""
    from gptoss_magic.model.imports import import_engine

    torch = import_engine()
    device = torch.device("cpu")
    if (launch.device or ("cuda" if torch.cuda.is_available() else "cpu")) == "cuda":
        device = torch.device("cuda", place.local)
        torch.cuda.set_device(device)
    store = os.environ.get(STORE)
    with joined(place, device, Path(store) if store else None) as group:
        tuning = _ready(run, launch, group)
        control = RankControl(group, folder, lambda: watchman.was_told, SAVE_EVERY_S)
        compare(run, tuning.trainer, folder, is_first=place.rank == 0)
        with ExitStack() as stack:
            stack.enter_context(tuning.trainer.team.load.watching())  # type: ignore[attr-defined]
            if _is_sharded(run, launch):
                return train_sharded(tuning, control, folder.steps)
            if place.rank == 0:
                return _lead(tuning, control, folder)
            for _ in tuning.trainer.run(control):
                pass
    return "stopped" if control.stopped else "return"


def _is_sharded(run: Path, launch: Launch) -> bool:
    """Whether what is trained is cut over the ranks."""
    from gptoss_magic.tuning.methods import method_of
    from gptoss_magic.tuning.runs import read_run

    return strategy_of(launch.strategy).in_step and method_of(read_run(run).method).trains_all


def _ready(run: Path, launch: Launch, group: RankGroup) -> Tuning:
    """The model, and the run where its newest checkpoint stands, with the team that shares it."""
    from gptoss_magic.ranks.load import ExpertLoad

    model = _loaded(launch, group)
    if _is_sharded(run, launch):
        trainer: Any = (tuning := opened_sharded(run, model, group)).trainer
    else:
        trainer = (tuning := _shared(run, launch, model, group)).trainer
    trainer.team.load = ExpertLoad(model)
    trainer.checkpointing = bool(group.largest([float(trainer.checkpointing)])[0])
    return tuning


def _shared(run: Path, launch: Launch, model: Any, group: RankGroup) -> Tuning:
    """What is trained is whole on this rank; of what is frozen it keeps its part."""
    from gptoss_magic.ranks.replicated import InStep, Replicated
    from gptoss_magic.runs.prepare import resume
    from gptoss_magic.tuning.methods import method_of

    strategy = strategy_of(launch.strategy)
    strategy.spread(model, group)
    if model.device != group.device:
        model.to(group.device)
    is_watched = strategy.in_step or group.place.rank == 0  # a forward that all must come to
    tuning = resume(run.name, run.parent, watched=is_watched)
    tuning.trainer.team = (InStep if strategy.in_step else Replicated)(group)
    if method_of(tuning.run.method).trains_all:
        for part in tuning.trainer.parts:
            part.stay(model)  # type: ignore[operator]
    if strategy.in_step:
        from gptoss_magic.ranks.anchor import anchor

        anchor(model, list(tuning.trainer.parts))
    return tuning


def _loaded(launch: Launch, group: RankGroup) -> Any:
    """The model: on this rank's device, or where it is shared out before it goes there."""
    from gptoss_magic.model.load import LoadSettings
    from gptoss_magic.session import current

    device = "cpu" if strategy_of(launch.strategy).in_step else str(group.device)
    is_offline = not launch.scheduled  # what this machine's kernel has loaded is there
    settings = LoadSettings(
        launch.model, device, launch.context, launch.revision, offline=is_offline
    )
    current().load(settings)
    return current().require_local().model


def _lead(tuning: Tuning, control: Any, folder: RanksFolder) -> str:
    """Rank 0: the steps with checkpoints, each written down for who follows."""
    steps = tuning.steps(control)
    try:
        with folder.steps.open("a", encoding="utf-8", buffering=1) as lines:
            for metrics in steps:
                lines.write(line_of(metrics))
    finally:
        steps.close()
    return tuning.run.finish


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
