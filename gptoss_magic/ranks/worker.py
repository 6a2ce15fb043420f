"""One rank of a launched run: `python -m gptoss_magic.ranks.worker RUN`, by torch's launcher.

It does what `--resume` does: the run's newest checkpoint, which may be of step 0, is gone on from.
Rank 0 also measures, keeps checkpoints, and writes the steps down.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import error_line
from gptoss_magic.ranks.folder import RanksFolder, RankState
from gptoss_magic.ranks.group import joined, my_place
from gptoss_magic.ranks.processes import Process
from gptoss_magic.ranks.strategies import strategy_of
from gptoss_magic.ranks.verify import compare
from gptoss_magic.ranks.wishes import Interrupted, RankControl, Watchman

if TYPE_CHECKING:
    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.ranks.group import RankGroup, RankPlace
    from gptoss_magic.records import StepMetrics
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
        control = RankControl(group, folder, lambda: watchman.was_told)
        compare(run, tuning.trainer, folder, is_first=place.rank == 0)
        with ExitStack() as stack:
            stack.enter_context(tuning.trainer.team.load.watching())  # type: ignore[attr-defined]
            if place.rank == 0:
                return _lead(tuning, control, folder)
            for _ in tuning.trainer.run(control):
                pass
    return "stopped" if control.stopped else "return"


def _ready(run: Path, launch: Launch, group: RankGroup) -> Tuning:
    """The model, and the run where its newest checkpoint stands, with the team that shares it."""
    from gptoss_magic.ranks.load import ExpertLoad
    from gptoss_magic.ranks.replicated import InStep, Replicated
    from gptoss_magic.runs.prepare import resume

    strategy = strategy_of(launch.strategy)
    model = _spread(launch, group)
    is_watched = strategy.in_step or group.place.rank == 0  # a forward that all must come to
    tuning = resume(run.name, run.parent, watched=is_watched)
    trainer, load = tuning.trainer, ExpertLoad(model)
    trainer.checkpointing = bool(group.largest([float(trainer.checkpointing)])[0])
    trainer.team = InStep(group, load) if strategy.in_step else Replicated(group, load)
    if strategy.in_step:
        from gptoss_magic.ranks.anchor import anchor

        anchor(model, list(trainer.parts))
    return tuning


def _spread(launch: Launch, group: RankGroup) -> Any:
    """What this rank keeps of the model, on its device; it is read where it is shared out."""
    from gptoss_magic.model.load import LoadSettings
    from gptoss_magic.session import current

    strategy = strategy_of(launch.strategy)
    device = "cpu" if strategy.in_step else str(group.device)
    is_offline = not launch.scheduled  # what this machine's kernel has loaded is there
    settings = LoadSettings(
        launch.model, device, launch.context, launch.revision, offline=is_offline
    )
    current().load(settings)
    model: Any = current().require_local().model
    strategy.spread(model, group)
    return model.to(group.device) if model.device != group.device else model


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


def line_of(metrics: StepMetrics) -> str:
    """A step as a line of `steps.jsonl`."""
    return json.dumps(asdict(metrics)) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
