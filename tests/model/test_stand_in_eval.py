"""The built-in model speaks harmony on cases that it was not trained on."""

import os
import subprocess
import sys

import pytest

import gptoss_magic
from tools.stand_in import following
from tools.stand_in.cases import held_out
from tools.stand_in.evaluate import evaluate
from tools.stand_in.following import training


def scores(every):
    gptoss_magic.load("built-in")
    found = evaluate(held_out()[::every])
    gptoss_magic.unload()
    return found


def test_cases_repeat_by_seed():
    assert training(3, 40) == training(3, 40) != training(4, 40)
    assert len(held_out()) == len(following.held_out()) == 60


def test_cases_are_the_same_in_every_process():
    show = "from tools.stand_in import following as f; print(f.held_out(), f.training(3, 40))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", show],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(seen) == 1


def test_a_sample_of_held_out_cases_is_well_formed():
    found = scores(every=8)
    assert found["well_formed"] == found["cases"] == 8


@pytest.mark.slow
def test_all_held_out_cases_are_well_formed_and_mostly_right():
    found = scores(every=1)
    assert found["well_formed"] >= 0.95 * found["cases"]
    assert found["correct"] >= 0.75 * found["scored"]


@pytest.mark.slow
def test_instructions_are_followed_more_often_than_not():
    gptoss_magic.load("built-in")
    found = evaluate(following.held_out())
    gptoss_magic.unload()
    assert found["well_formed"] >= 0.95 * found["cases"]
    assert found["correct"] >= 0.5 * found["scored"]
    *_, num, right = found["kinds"]["voiced"]
    assert right >= 0.75 * num


@pytest.mark.slow
def test_training_writes_what_the_conversion_reads(tmp_path):
    from safetensors.torch import load_file

    from gptoss_magic.model.stand_in.source import DATA
    from tools.stand_in.train import Recipe, Trainee, train

    recipe = Recipe(steps=2, batch=2)
    trainee = Trainee(recipe)
    assert all(loss > 0 for loss in train(trainee, recipe))
    trainee.save(tmp_path, recipe)
    for name in ("adapter", "token_rows"):
        made, shipped = (load_file(at / f"{name}.safetensors") for at in (tmp_path, DATA))
        assert {k: v.shape for k, v in made.items()} == {k: v.shape for k, v in shipped.items()}
