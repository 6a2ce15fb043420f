"""Follow a launched run: its steps as they come, what the user asks, and how it ended."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import LaunchError
from gptoss_magic.ranks.folder import RanksFolder, Wish
from gptoss_magic.ranks.launch import kill
from gptoss_magic.tuning.checkpoints import latest_checkpoint, metrics_of
from gptoss_magic.tuning.runs import read_run, save_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gptoss_magic.records import StepMetrics
    from gptoss_magic.tuning.control import Control
    from gptoss_magic.tuning.runs import Run

LOOK_S = 0.05
LOST_S = 90.0  # after the launcher's end, its ranks end by themselves in less
LAST_LINES = 3
# what the others say where a rank is gone: its error, or its death, is the cause
LEFT_ALONE = re.compile(r"gloo|nccl|connection|peer|socket|timed? ?out", re.IGNORECASE)


@dataclass
class Tail:
    """The whole lines of a file that grows."""

    path: Path
    place: int = 0
    rest: bytes = field(default=b"")

    def lines(self) -> list[bytes]:
        """Those that came since the last call."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.place)
                new = stream.read()
        except FileNotFoundError:
            return []
        self.place += len(new)
        *whole, self.rest = (self.rest + new).split(b"\n")
        return whole


def earlier_steps(run: Run) -> list[StepMetrics]:
    """The steps that were done before its ranks began to write theirs down."""
    told = Tail(RanksFolder.of(run.folder).steps).lines()
    first = metrics_of(json.loads(told[0])).step if told else None
    return [metrics for metrics in run.history() if first is None or metrics.step < first]


def follow(
    folder: RanksFolder, control: Control, poll: Callable[[], Any] = lambda: None
) -> Iterator[StepMetrics]:
    """Each step as it is done, until no process of the launch is left.

    What is done to `control` meanwhile is done to all ranks. `poll` is called in between, so that
    a launcher that this process started is waited for.
    """
    tail, asked, agent = Tail(folder.steps), folder.wished(), folder.launch().agent
    lost_at: float | None = None
    while True:
        poll()
        is_over = not folder.goes_on()
        for line in tail.lines():
            yield metrics_of(json.loads(line))
        if is_over:
            return
        end = "stop" if control.stopped else asked.end
        wish = Wish(end, control.paused, control.rate or asked.rate)
        if wish != asked:
            folder.wish(wish)
            asked = wish
        if agent is not None and not agent.is_alive:
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > LOST_S:
                kill(folder)
        time.sleep(LOOK_S)


def ended(run: Run) -> Run:
    """The run as its ranks left it. Raises LaunchError where one of them did not end by itself."""
    folder = RanksFolder.of(run.folder)
    states, launch = folder.states(), folder.launch()
    found = read_run(run.folder)
    lost = [rank for rank in range(launch.num_ranks) if not (rank in states and states[rank].ended)]
    failed = sorted((s.at, rank) for rank, s in states.items() if s.ended == "error")
    if not lost and not failed:
        return found
    if found.finish == "running" or 0 in lost:
        save_run(replace(found, finish="interrupt"))
    own = [rank for _, rank in failed if not LEFT_ALONE.search(states[rank].error)]
    if own or not lost:
        first = (own or [rank for _, rank in failed])[0]
        what = f"rank {first}: {states[first].error}"
    else:
        what = _lost_line(folder, lost, launch.num_ranks)
    raise LaunchError(f"{run.name}: {what}; {_how_to_go_on(run)}")


def _lost_line(folder: RanksFolder, lost: list[int], num_ranks: int) -> str:
    """Who was killed; where none had begun, what the launcher said last."""
    states = folder.states()
    begun = [f"rank {rank} (process {states[rank].process.pid})" for rank in lost if rank in states]
    if begun:
        return f"{', '.join(begun)} of {num_ranks} ended without a word, as a killed process does"
    said = folder.log.read_text(errors="replace").split("\n") if folder.log.is_file() else []
    last = " / ".join([line.strip() for line in said if line.strip()][-LAST_LINES:])
    return f"its {num_ranks} processes did not start ({last[-300:] or 'nothing was said'})"


def _how_to_go_on(run: Run) -> str:
    checkpoint = latest_checkpoint(run.folder)
    step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    return f"step {step} is kept: %gptoss_tune --resume {run.name} goes on, alone or by --launch"
