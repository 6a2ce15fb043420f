"""Start a run's ranks by torch's launcher, in a process group of their own; end them for certain.

Nothing is forked: the launcher and each rank are new processes, which load the model themselves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic import children
from gptoss_magic.errors import InputError
from gptoss_magic.ranks.folder import WORKER, Launch, RanksFolder, Wish
from gptoss_magic.ranks.processes import Process, wait_over
from gptoss_magic.ranks.strategies import AUTO, check_strategy, strategy_of
from gptoss_magic.ranks.worker import STORE

if TYPE_CHECKING:
    from gptoss_magic.model.load import Resident
    from gptoss_magic.tuning.runs import Run

LOOPBACK = {"linux": "lo", "darwin": "lo0"}
AGENT_S, DEATH_S = 35.0, 5.0  # the launcher gives its ranks 30 s; a killed process is gone at once
LIMIT = 1024


def check_launch(num_ranks: int, strategy: str) -> None:
    """Raise InputError for a number or a strategy that cannot be launched here."""
    if not 1 <= num_ranks <= LIMIT:
        raise InputError(f"--launch {num_ranks}: give 1 to {LIMIT} processes")
    if strategy != AUTO:
        strategy_of(strategy)


def launch_of(
    resident: Resident, method: str, num_ranks: int, strategy: str, *, detached: bool
) -> Launch:
    """How a run by `method` on the resident model is launched; `auto` is settled by its plan.

    Raises InputError.
    """
    check_launch(num_ranks, strategy)
    if strategy != AUTO:
        check_strategy(strategy, method, resident.model.config.num_local_experts, num_ranks)
    kind = resident.model.device.type
    if kind == "cuda":
        check_cards(num_ranks)
    named = Path(resident.settings.model).expanduser()
    model = str(named.resolve()) if named.exists() else resident.settings.model
    owner = None if detached else Process.of()
    revision, context = resident.settings.revision, resident.plan.context
    return Launch(num_ranks, strategy, model, revision, context, kind, owner)


def scheduled(launch: Launch, nodes: int) -> Launch:
    """The same for a cluster's job of so many machines, each with whatever it has."""
    count = launch.num_ranks * nodes
    return replace(launch, num_ranks=count, device="", owner=None, scheduled=True)


def check_cards(num_ranks: int) -> None:
    """Raise InputError where there are fewer GPUs than ranks."""
    import torch

    cards = torch.cuda.device_count()
    if num_ranks > cards:
        raise InputError(
            f"--launch {num_ranks}: a rank takes a GPU of its own, and there are {cards}"
        )


def start(run: Run, launch: Launch) -> subprocess.Popen[bytes]:
    """Start the ranks of `run`, whose newest checkpoint they go on from; gives the launcher.

    Raises InputError while an earlier launch of it runs, StorageError.
    """
    folder = RanksFolder.of(run.folder)
    folder.begin(launch)
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            command(run.folder.resolve(), launch, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(launch, folder),
            start_new_session=True,
        )
    folder.set_agent(Process.of(process.pid))
    return process


def command(run: Path, launch: Launch, folder: RanksFolder) -> list[str]:
    """Torch's launcher for the ranks of one machine, which meet by a file."""
    return [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes", "1", "--nproc-per-node", str(launch.num_ranks)),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", str(folder.path / "rendezvous")),
        *("--rdzv-conf", "store_type=file", "--rdzv-id", run.name),
        *("--local-addr", "127.0.0.1", "--max-restarts", "0"),
        *("-m", WORKER, str(run)),
    ]


def environment(launch: Launch, folder: RanksFolder) -> dict[str, str]:
    """That of ranks of this machine; threads are shared out if nothing is said."""
    held = on_loopback()
    threads = max(1, (os.cpu_count() or 1) // launch.num_ranks)
    more = {
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": held.get("OMP_NUM_THREADS", str(threads)),
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",  # nothing listens for other machines
        "TORCH_ELASTIC_WORKER_IDENTICAL": "1",
        STORE: str(folder.path / "store"),
    }
    return held | more


def on_loopback() -> dict[str, str]:
    """The environment of processes that find this package and speak over the loopback interface."""
    name = LOOPBACK.get(sys.platform)
    more = {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": name} if name else {}
    return children.environment() | more


def end(folder: RanksFolder, how: str, patience: float) -> None:
    """Let the ranks keep their state and end, as `how` says ('stop', 'interrupt').

    Whoever has not ended after so many seconds is told to by a signal, and then killed.
    """
    folder.wish(Wish(how))
    if not wait_over(folder.alive, patience):
        kill(folder)


def kill(folder: RanksFolder, patience: float = AGENT_S) -> None:
    """End all processes of a launch: the launcher asks its ranks; what stays is killed."""
    try:
        for process in folder.alive():
            process.send(signal.SIGTERM)
        wait_over(folder.alive, patience)
    finally:
        for process in folder.alive():
            process.send(signal.SIGKILL)
        wait_over(folder.alive, DEATH_S)
