"""make gpu-check, as far as a machine without a GPU can run it."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import ATTENTION_BYTES, EXPERT_BYTES, OUTER_BYTES, layers_that_fit
from benchmarks.gpu_speeds import at_most
from gptoss_magic.model.checkpoint import read_checkpoint
from gptoss_magic.model.plan import make_plan
from gptoss_magic.testing import tiny_checkpoint
from tests.warm import python

ROOT = Path(__file__).parents[2]


def check(*arguments):
    return subprocess.run(
        [python(), "-m", "benchmarks.gpu_check", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_steps_run_on_a_cpu_and_are_one_json_line_each():
    done = check("--device", "cpu", "--layers", "1", "--tiny")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    checks = {line["name"] for line in lines if line.get("ok")}
    names = {"linear_error", "transposed_error", "logits_error", "gradients_error"}
    assert checks == names | {"training_loss"}
    speeds = {line["name"]: line["value"] for line in lines if "unit" in line}
    assert speeds.keys() == {"load", "prefill", "decode", "decode, one call", "training"}
    assert min(speeds.values()) > 0
    assert {line["name"] for line in lines if "why" in line} == {"memory", "transformers"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line():
    done = check()
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "CUDA" in done.stderr
    assert not done.stdout


def test_no_number_is_no_passed_check():
    assert at_most("error", 0.5, 0.5, "").ok
    assert not at_most("error", 0.6, 0.5, "").ok
    assert not at_most("error", float("nan"), 0.5, "").ok


def test_layers_are_counted_by_the_true_sizes(tmp_path):
    whole = 24 * (ATTENTION_BYTES + 32 * EXPERT_BYTES) + OUTER_BYTES
    assert abs(whole - 13.8e9) < 0.1e9
    assert 0 <= layers_that_fit("120b", "cpu", tmp_path) <= 36


def test_the_plan_has_what_a_gpu_unpacks(tmp_path):
    packed = read_checkpoint("tiny", tiny_checkpoint(tmp_path, packed=True))
    on_gpu, on_cpu = (make_plan(packed, device, 256, 0) for device in ("cuda", "cpu"))
    assert on_gpu.activations - on_cpu.activations == 8 * 2 * 64 * 64 * 2
