"""Every weight trained on several processes, kept as one file, gone on with on any number."""

import pytest
import torch
from safetensors.torch import load_file

import gptoss_magic
from gptoss_magic.ranks.launch import launch_of
from gptoss_magic.ranks.run import begun, taken_over
from gptoss_magic.runs.prepare import resume
from gptoss_magic.runs.report import finish
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.checkpoints import TENSORS, latest_checkpoint
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.runs import read_run
from tests.ranks.cases import left_behind, prepared, started
from tests.ranks.parity import apart

LATER = 5e-3  # behind 120 of them
CLOSE = 1e-4  # of weights in fp32 behind a few steps: AdamW divides by the size of a gradient


def tensors_of(run):
    return load_file(latest_checkpoint(run.folder) / TENSORS)


def alone(name, num_steps, method, **more):
    tuning = prepared(name, num_steps, method=method, **more)
    for _ in tuning.steps(Control()):
        pass
    return tuning.run


def followed(launched, stop_at=None):
    """To its end, or until it was stopped behind a step."""
    control = Control()
    for metrics in launched.steps(control):
        if metrics.step == stop_at:
            control.stop()
    assert left_behind(launched.run.folder) == []
    return taken_over(launched)


def check_same(mine, wanted, close=CLOSE):
    assert set(mine) == set(wanted)
    for name, tensor in wanted.items():
        assert mine[name].shape == tensor.shape
        assert mine[name].dtype == tensor.dtype
        if name.startswith("parts."):
            assert apart(mine[name], tensor) <= close, name


def test_cut_over_two_processes_it_is_the_run_of_one(loaded):
    wanted = tensors_of(alone("one", 4, "full"))
    launched = started("two", 4, strategy="fsdp", method="full")
    tuning = followed(launched)
    assert tuning.run.finish == "return"
    check_same(tensors_of(tuning.run), wanted)
    report = finish(tuning)
    assert report.held_out[1] < report.held_out[0]
    assert (loaded / "runs/two/model/config.json").is_file()
    history = tuning.run.history()
    assert [len(metrics.ranks) for metrics in history] == [2] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "method"), [("ddp", "lora"), ("ep", "experts"), ("fsdp", "full")]
)
@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (4, 2)])
def test_another_number_of_processes_goes_on(loaded, strategy, method, first, second):
    wanted = tensors_of(alone("one", 120, method))
    launched = started("cut", 120, first, strategy=strategy, method=method)
    stopped = followed(launched, stop_at=20)
    at = stopped.trainer.progress.step
    assert 20 <= at < 120
    run = read_run(loaded / "runs/cut")
    launch = launch_of(current().require_local(), method, second, strategy, detached=False)
    tuning = followed(begun(run, launch))
    assert tuning.trainer.progress.step == 120
    assert [m.step for m in tuning.run.history()] == list(range(1, 121))
    check_same(tensors_of(tuning.run), wanted, LATER)
    again = resume("one", loaded / "runs", watched=False).trainer
    assert tuning.trainer.evaluate() == pytest.approx(again.evaluate(), rel=LATER)


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A tiny model of packed experts in bf16 is loaded."""
    monkeypatch.chdir(tmp_path)
    path = tiny_checkpoint(tmp_path / "packed", packed=True, max_position_embeddings=16_384)
    gptoss_magic.load(path, context=16_384, replace=True)
    yield
    gptoss_magic.unload()


def test_on_a_mesh_of_four_packed_experts_learn_what_they_do_on_one(packed):
    wanted = alone("one", 3, "experts")
    tuning = followed(started("four", 3, 4, strategy="fsdp+ep"))
    for mine, one in zip(tuning.run.history(), wanted.history(), strict=True):
        assert mine.loss == pytest.approx(one.loss, rel=0.01)
        assert len(mine.ranks) == 4


@pytest.mark.slow
def test_packed_experts_in_bf16_are_cut_too(packed):
    wanted = alone("one", 3, "full")
    tuning = followed(started("two", 3, strategy="fsdp", method="full"))
    found = tensors_of(tuning.run)
    trained = [tensor for name, tensor in found.items() if name.startswith("parts.")]
    assert {tensor.dtype for tensor in trained} == {torch.bfloat16}
    for mine, one in zip(tuning.run.history(), wanted.history(), strict=True):
        assert mine.loss == pytest.approx(one.loss, rel=0.01)
