"""What a launched run keeps beside itself, in RUN/ranks: who runs, how they stand, what is asked.

launch.json     the launch: how many, by which strategy, on which model, whose, since when
control.json    what the user asks: end, pause, another learning rate; written by who follows
steps.jsonl     a line for each step, with what each rank did; written by rank 0
rank-R.json     the process of a rank, and how it ended; log.txt: what they all print

Any process that sees the folder can follow: another kernel, another machine with the same disk.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import whole_file, whole_folder
from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.ranks.processes import Process, with_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RANKS, LAUNCH, CONTROL = "ranks", "launch.json", "control.json"
STEPS, LOG = "steps.jsonl", "log.txt"
WORKER = "gptoss_magic.ranks.worker"  # the module that is a rank


@dataclass(frozen=True)
class Launch:
    """How a run was launched. `model`, `revision`, `context`: what is loaded for it.

    `device`: 'cpu', 'cuda', or '' for what a machine has. `owner`: the process with which the ranks
    end; None for a detached run. `agent`: who started them, None before it is there. `scheduled`: a
    cluster starts them, at some time.
    """

    num_ranks: int
    strategy: str
    model: str
    revision: str | None = None
    context: int = 0
    device: str = "cpu"
    owner: Process | None = None
    agent: Process | None = None
    scheduled: bool = False


@dataclass(frozen=True)
class Wish:
    """What the user asks of a run that goes on. `end`: '', 'stop', or 'interrupt'."""

    end: str = ""
    paused: bool = False
    rate: float | None = None


@dataclass(frozen=True)
class RankState:
    """A rank's process. `ended`: 'return', 'stopped', 'interrupt' or 'error'; '' while it runs."""

    process: Process
    ended: str = ""
    error: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class RanksFolder:
    """The folder of one run's ranks."""

    path: Path
    name: str = field(default="")

    @classmethod
    def of(cls, run: Path) -> RanksFolder:
        """The one of a run's folder."""
        return cls(run.resolve() / RANKS, run.name)

    @property
    def steps(self) -> Path:
        return self.path / STEPS

    @property
    def log(self) -> Path:
        return self.path / LOG

    def begin(self, launch: Launch) -> None:
        """A new folder, whole, in the place of an earlier launch's.

        Raises InputError while that one still runs, StorageError.
        """
        self.check_over()
        shutil.rmtree(self.path, ignore_errors=True)
        with whole_folder(self.path) as fresh:
            (fresh / LAUNCH).write_text(json.dumps(asdict(launch)))
            (fresh / CONTROL).write_text(json.dumps(asdict(Wish())))
            (fresh / STEPS).touch()
            (fresh / LOG).touch()

    def check_over(self) -> None:
        """Raise InputError while processes of a launch still run."""
        if self.alive() or self.away():
            raise InputError(
                f"{self.name} runs on its own processes: %gptoss runs attach {self.name} follows it"
            )

    def launch(self) -> Launch:
        """How it was launched. Raises InputError where it was not, CheckpointError for damage."""
        if not (self.path / LAUNCH).is_file():
            raise InputError(f"{self.name}: no run on processes of its own; %gptoss runs lists all")
        with _reading(self.path / LAUNCH):
            found = json.loads((self.path / LAUNCH).read_text())
            owner, agent = (_process(found.pop(name)) for name in ("owner", "agent"))
            return Launch(**found, owner=owner, agent=agent)

    def set_agent(self, agent: Process) -> None:
        """Note who started the ranks."""
        with whole_file(self.path / LAUNCH) as fresh:
            fresh.write_text(json.dumps(asdict(replace(self.launch(), agent=agent))))

    def wish(self, wish: Wish) -> None:
        """Ask something of the ranks; they read it between two steps. Raises StorageError."""
        with whole_file(self.path / CONTROL) as fresh:
            fresh.write_text(json.dumps(asdict(wish)))

    def wished(self) -> Wish:
        """What is asked now; nothing where it cannot be read."""
        try:
            return Wish(**json.loads((self.path / CONTROL).read_text()))
        except (OSError, ValueError, TypeError):
            return Wish()

    def set_state(self, rank: int, state: RankState) -> None:
        """Say where a rank stands."""
        with whole_file(self.path / f"rank-{rank}.json") as fresh:
            fresh.write_text(json.dumps(asdict(state)))

    def states(self) -> dict[int, RankState]:
        """By rank, those that have begun."""
        found = {}
        for file in self.path.glob("rank-*.json"):
            try:
                said = json.loads(file.read_text())
                state = RankState(**{**said, "process": Process(**said["process"])})
            except (OSError, ValueError, TypeError, KeyError):
                continue
            found[int(file.stem.partition("-")[2])] = state
        return dict(sorted(found.items()))

    def processes(self) -> list[Process]:
        """Agent and ranks, as far as they are known."""
        try:
            agent = self.launch().agent
        except (InputError, CheckpointError):
            return []
        return [*([agent] if agent else []), *(state.process for state in self.states().values())]

    def alive(self) -> list[Process]:
        """Those that still run on this machine, also where they have not said so yet."""
        if not self.path.is_dir():
            return []
        known = [process for process in self.processes() if process.is_alive]
        return known or with_words(WORKER, str(self.path.parent))

    def away(self) -> bool:
        """Whether ranks run on another machine, as far as they said."""
        return any(not one.process.is_here and not one.ended for one in self.states().values())

    def goes_on(self) -> bool:
        """Whether there is more to come: processes here or elsewhere, or a job that waits."""
        if self.alive() or self.away():
            return True
        return self.launch().scheduled and not self.states()


def _process(found: Any) -> Process | None:
    return None if found is None else Process(**found)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn what a damaged file raises into one line that names it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: damaged ({error}); delete {file.parent}") from error
