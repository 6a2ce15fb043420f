"""A run that waits for a cluster, and the files by which SLURM, SkyPilot, Ray, Accelerate start it.

Files only: nothing is submitted or called. Each starts `gptoss_magic.ranks.worker RUN` on every
process; the run's folder lies on a disk that the machines share, and a notebook follows it there.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import InputError
from gptoss_magic.ranks.folder import WORKER

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 29_500
WARNED_S = 120  # before the limit; torch's launcher then gives its ranks 30 s to keep their state
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


@dataclass(frozen=True)
class Job:
    """A run on `nodes` machines with `each` processes; `on_gpus`: a GPU for each process."""

    name: str
    run: Path
    nodes: int
    each: int
    on_gpus: bool

    @property
    def num_ranks(self) -> int:
        """Processes in all."""
        return self.nodes * self.each


def slurm_text(job: Job) -> str:
    """A batch script for sbatch. Before its time is up, every rank keeps its state and ends."""
    gpus = f"#SBATCH --gpus-per-node={job.each}\n" if job.on_gpus else ""
    return SLURM.format(
        name=shlex.quote(f"gptoss-{job.name}"),
        nodes=job.nodes,
        each=job.each,
        gpus=gpus,
        run=shlex.quote(str(job.run)),
        log=shlex.quote(str(job.run / "slurm-%j.txt")),
        port=PORT,
        warned=WARNED_S,
        signals=SIGNALS,
        worker=WORKER,
    )


def skypilot_text(job: Job) -> str:
    """A task for `sky launch`. Which GPU, and how the package gets there, is the user's to say."""
    import yaml

    script = SKY_RUN.format(
        each=job.each, port=PORT, worker=WORKER, run=shlex.quote(str(job.run)), signals=SIGNALS
    )
    task = {"name": f"gptoss-{job.name}", "num_nodes": job.nodes, "run": script}
    if job.on_gpus:
        task["resources"] = {"accelerators": f"H100:{job.each}"}
    task["setup"] = "python -c 'import gptoss_magic'  # install it here, as on this machine\n"
    note = (
        "# The folder of the run must be on every machine, at the same place, and be shared: add\n"
        "# file_mounts. The accelerator is a guess: name yours.\n"
    )
    return note + str(yaml.safe_dump(task, sort_keys=False, width=100))


def ray_text(job: Job) -> str:
    """A script for Ray Train."""
    return RAY.format(
        run=json.dumps(str(job.run)), total=job.num_ranks, gpus=job.on_gpus, worker=WORKER
    )


def accelerate_text(job: Job) -> str:
    """A config file for `accelerate launch`, with the line that uses it."""
    import yaml

    config = {
        "compute_environment": "LOCAL_MACHINE",
        # its way to torch's launcher; for MULTI_CPU it asks for MPI. Ranks take what there is
        "distributed_type": "MULTI_GPU",
        "mixed_precision": "no",
        "num_machines": job.nodes,
        "num_processes": job.num_ranks,
        "machine_rank": 0,
        "use_cpu": False,
        "rdzv_backend": "static",
        "same_network": True,
        "main_training_function": "main",
    }
    line = f"accelerate launch --config_file THIS_FILE -m {WORKER} {shlex.quote(str(job.run))}"
    more = "# On several machines: machine_rank, main_process_ip and main_process_port of each.\n"
    return f"# {line}\n{more if job.nodes > 1 else ''}" + str(yaml.safe_dump(config))


WRITERS: dict[str, Callable[[Job], str]] = {
    "slurm": slurm_text,
    "skypilot": skypilot_text,
    "ray": ray_text,
    "accelerate": accelerate_text,
}


def check_new(paths: list[str]) -> None:
    """Raise InputError where a file is there already, or one is named twice."""
    for path in paths:
        if Path(path).expanduser().exists() or paths.count(path) > 1:
            raise InputError(f"{path}: is there already; give the name of a new file")


def write_job(job: Job, files: dict[str, str]) -> list[str]:
    """Write the file of each kind to its path; all the lines of what was written.

    Raises StorageError.
    """
    said = []
    for kind, path in files.items():
        target = Path(path).expanduser()
        with whole_file(target) as fresh:
            fresh.write_text(WRITERS[kind](job), encoding="utf-8")
        said.append(f"{target} written: {job.num_ranks} processes by {kind}")
    return said


SLURM = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
{gpus}#SBATCH --output={log}
#SBATCH --signal=USR1@{warned}
set -eu
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun python -m torch.distributed.run \\
  --nnodes "$SLURM_NNODES" --nproc-per-node {each} --max-restarts 0 \\
  --rdzv-backend c10d --rdzv-endpoint "$head:{port}" --rdzv-id "$SLURM_JOB_ID" \\
  --signals-to-handle {signals} \\
  -m {worker} {run}
"""
SKY_RUN = """\
head=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)
python -m torch.distributed.run \\
  --nnodes "$SKYPILOT_NUM_NODES" --node-rank "$SKYPILOT_NODE_RANK" --nproc-per-node {each} \\
  --master-addr "$head" --master-port {port} --max-restarts 0 \\
  --signals-to-handle {signals} \\
  -m {worker} {run}
"""
RAY = '''\
"""Train the run on {total} workers of a Ray cluster that sees its folder."""

import sys

from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

RUN = {run}


def train_rank():
    from {worker} import main

    if main([RUN]):
        sys.exit(1)


if __name__ == "__main__":
    TorchTrainer(
        train_rank, scaling_config=ScalingConfig(num_workers={total}, use_gpu={gpus})
    ).fit()
'''
