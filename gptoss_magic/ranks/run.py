"""A run on processes of its own, as this process sees it: begun, followed, taken over at its end.

begun(tuning, launch)   the run is on the disk, with its parts as they are now, and its ranks start
LaunchedRun.steps       yields `StepMetrics` as the ranks write them down
taken_over(launched)    the run with the parts as the ranks left them, for `runs.report.finish`
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.ranks.folder import RanksFolder
from gptoss_magic.ranks.follow import ended, follow
from gptoss_magic.ranks.launch import AGENT_S, end, kill, start
from gptoss_magic.runs.whole_model import MODEL
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import method_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.records import StepMetrics
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.tuning.control import Control
    from gptoss_magic.tuning.runs import Run

PATIENCE_S = 120.0  # for the step that is being done when the run is told to end
HURRY_S = 3.0


@dataclass
class LaunchedRun:
    """`agent`: torch's launcher, where this process started it."""

    run: Run
    launch: Launch
    agent: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> RanksFolder:
        """What its ranks keep."""
        return RanksFolder.of(self.run.folder)

    def steps(self, control: Control) -> Iterator[StepMetrics]:
        """Each step as it is done, until all processes are gone; `control` is that of all ranks.

        A step that was written down before comes too.
        """
        yield from follow(self.folder, control, self.poll)

    def poll(self) -> None:
        """Wait for a launcher that has ended, so that nothing of it stays."""
        if self.agent is not None:
            self.agent.poll()

    def interrupt(self) -> None:
        """Let the ranks keep their state and end; a second ■ meanwhile hurries them."""
        try:
            end(self.folder, "interrupt", PATIENCE_S)
        except KeyboardInterrupt:
            kill(self.folder, HURRY_S)
        self.poll()

    def abandon(self) -> None:
        """End what still runs: who follows failed."""
        if self.folder.alive():
            kill(self.folder, AGENT_S)
        self.poll()


def written(tuning: Tuning, *, is_verified: bool = False) -> Run:
    """The run, a checkpoint of its parts as they stand on the disk.

    `is_verified`: with the gradients that its ranks shall find. Raises StorageError.
    """
    from gptoss_magic.ranks.verify import write_wanted
    from gptoss_magic.tuning.checkpoints import save_checkpoint

    save_checkpoint(tuning.run.folder, tuning.trainer)
    if is_verified:
        write_wanted(tuning.run.folder, tuning.trainer)
    return tuning.run


def begun(run: Run, launch: Launch) -> LaunchedRun:
    """Start the ranks of a run that is `written`. Raises InputError, StorageError."""
    return LaunchedRun(run, launch, start(run, launch))


def found(name: str, runs: Path) -> LaunchedRun:
    """A launched run of the folder `runs`, whoever started it. Raises InputError."""
    from gptoss_magic.tuning.runs import checked_name, read_run

    run = read_run(runs / checked_name(name))
    launched = LaunchedRun(run, RanksFolder.of(run.folder).launch())
    if run.report and not launched.folder.alive():
        raise InputError(
            f"{name} is over, and its report is written: %gptoss runs show {name}; {_in_use(run)}"
        )
    return launched


def _in_use(run: Run) -> str:
    """What puts the result of a run into use again."""
    if method_of(run.method).trains_all:
        return f"%gptoss load {run.folder / MODEL}"
    return f"%gptoss lora attach {run.adapter}"


def taken_over(launched: LaunchedRun) -> Tuning:
    """The run with its parts as the ranks left them; its model is loaded where none is.

    Raises LaunchError where a rank failed or was killed, DoesNotFit where all weights were trained
    and have no place here, InputError, CheckpointError.
    """
    from gptoss_magic.model.load import LoadSettings
    from gptoss_magic.runs.prepare import resume
    from gptoss_magic.runs.whole_model import require_room

    run, launch = ended(launched.run), launched.launch
    if current().loaded is None:
        settings = LoadSettings(launch.model, context=launch.context, revision=launch.revision)
        current().load(settings)
    require_room(run)
    return resume(run.name, run.folder.parent, watched=False)


@contextmanager
def followed(launched: LaunchedRun, control: Any) -> Iterator[None]:
    """Within, this kernel says that the run goes on; its own model stays free to be asked."""
    session = current()
    session.training = launched.run.name, control
    try:
        yield
    finally:
        session.training = None
