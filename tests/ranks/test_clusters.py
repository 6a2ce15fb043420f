"""What a cluster gets: each file read by its own tool where it is here, and one really run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gptoss_magic.errors import InputError
from gptoss_magic.ranks.clusters import Job, accelerate_text, ray_text, skypilot_text, slurm_text
from gptoss_magic.ranks.deepspeed import deepspeed_text
from gptoss_magic.ranks.run import found, taken_over
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.settings import TrainSettings
from tests.ranks.cases import ROWS
from tests.ranks.test_kills import with_root

LINE = "--runs runs --as job --steps 4 --step-tokens 900 -r 2 --launch 2"


def job(tmp_path, **more):
    known = {"name": "my run", "run": tmp_path / "a folder", "nodes": 2, "each": 4, "on_gpus": True}
    return Job(**{**known, **more})


def test_the_batch_script_is_shell_and_asks_for_what_the_run_needs(tmp_path):
    text = slurm_text(job(tmp_path))
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --nodes=2" in asked
    assert "#SBATCH --gpus-per-node=4" in asked
    assert "--gpus" not in slurm_text(job(tmp_path, on_gpus=False))
    assert "'" + str(tmp_path / "a folder") + "'" in text


def test_the_task_is_yaml_whose_script_is_shell(tmp_path):
    task = yaml.safe_load(skypilot_text(job(tmp_path)))
    assert task["num_nodes"] == 2
    assert task["resources"] == {"accelerators": "H100:4"}
    done = subprocess.run(["bash", "-n"], input=task["run"], text=True, check=False)
    assert done.returncode == 0


def test_accelerate_reads_its_config(tmp_path):
    from accelerate.commands.config.config_args import load_config_from_file

    file = tmp_path / "accelerate.yaml"
    file.write_text(accelerate_text(job(tmp_path, nodes=1)))
    config = load_config_from_file(str(file))
    assert config.num_processes == 4
    assert config.use_cpu is False


def test_accelerate_reads_the_config_of_deepspeed(tmp_path, shell, loaded, capsys):
    """accelerate's plugin reads it and finds ZeRO-3, in bf16, as it is written."""
    from accelerate import DeepSpeedPlugin

    shell.run_cell_magic("gptoss_tune", f"{LINE} --write-deepspeed zero.json", ROWS)
    assert "zero.json written: ZeRO-3 for 2 processes" in capsys.readouterr().out
    plugin = DeepSpeedPlugin(hf_ds_config="zero.json")
    assert plugin.zero_stage == 3
    found = plugin.hf_ds_config
    assert found.get_value("gradient_clipping") == 1.0
    assert found.get_value("train_batch_size") == 2 * found.get_value("gradient_accumulation_steps")
    assert found.get_value("optimizer.params.lr") > 0
    with pytest.raises(InputError, match="is there already"):
        shell.run_cell_magic("gptoss_tune", f"{LINE} --write-deepspeed zero.json", ROWS)


def test_packed_experts_are_not_for_zero_3():
    with pytest.raises(InputError, match="in the middle of MXFP4 blocks"):
        deepspeed_text(TrainSettings(), 2, is_frozen=True)


def test_the_script_for_ray_is_python(tmp_path):
    tree = ast.parse(ray_text(job(tmp_path)))
    assert "num_workers=8" in ast.unparse(tree)


def test_a_cell_writes_them_and_the_run_waits(shell, loaded, capsys):
    shell.run_cell_magic("gptoss_tune", f"{LINE} --nodes 2 --write-slurm job.sh", ROWS)
    said = capsys.readouterr().out
    assert "job.sh written: 4 processes by slurm" in said
    launched = found("job", loaded / "runs")
    assert launched.launch.num_ranks == 4
    assert launched.folder.goes_on()
    assert not launched.folder.alive()
    for line, words in (
        ("--write-slurm job.sh --as b", "is there already"),
        ("--write-ray r.py --write-skypilot r.py --as b", "is there already"),
        ("--write-ray r.py --go --as b", "leave --go and"),
        ("--nodes 2 --as b", "--nodes means something beside"),
    ):
        with pytest.raises(InputError, match=words):
            shell.run_cell_magic("gptoss_tune", f"{LINE} {line}", ROWS)
    with pytest.raises(InputError, match="--write-ray means something beside --launch"):
        shell.run_cell_magic("gptoss_tune", "--write-ray r.py", ROWS)


SHIMS = {"scontrol": "echo 127.0.0.1", "srun": 'exec "$@"'}


@pytest.mark.slow
def test_the_batch_script_trains_where_slurm_s_words_are_played(shell, loaded):
    """scontrol and srun stand-ins of one machine; all else is as a job runs it."""
    shell.run_cell_magic("gptoss_tune", f"{LINE} --write-slurm job.sh", ROWS)
    (loaded / "bin").mkdir()
    for name, body in SHIMS.items():
        (loaded / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (loaded / "bin" / name).chmod(0o755)
    places = [str(loaded / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    path = os.pathsep.join(places)
    slurm = {"SLURM_JOB_NODELIST": "one", "SLURM_NNODES": "1", "SLURM_JOB_ID": "7"}
    done = subprocess.run(
        ["bash", "job.sh"],
        env={**with_root(), **slurm, "PATH": path, "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    launched = found("job", loaded / "runs")
    assert len(list(launched.steps(Control()))) == 4
    assert taken_over(launched).run.finish == "return"


@pytest.mark.slow
def test_accelerate_trains_by_its_config(shell, loaded):
    shell.run_cell_magic("gptoss_tune", f"{LINE} --write-accelerate acc.yaml", ROWS)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "acc.yaml"]
    command += ["-m", "gptoss_magic.ranks.worker", str(loaded / "runs/job")]
    done = subprocess.run(
        command,
        env={**with_root(), "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    launched = found("job", loaded / "runs")
    assert len(list(launched.steps(Control()))) == 4
    assert taken_over(launched).run.finish == "return"
