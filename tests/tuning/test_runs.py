"""Runs on the disk: what is written comes back; damage and clashes are said."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.records import Example
from gptoss_magic.tuning.methods import settings_of
from gptoss_magic.tuning.runs import (
    Run,
    all_runs,
    as_tensors,
    checked_name,
    from_tensors,
    new_run,
    read_data,
    read_run,
    save_run,
)
from gptoss_magic.tuning.settings import TrainSettings

pairs = st.lists(st.tuples(st.integers(0, 201087), st.booleans()), min_size=1, max_size=5)
example = pairs.map(lambda p: Example(tuple(i for i, _ in p), tuple(t for _, t in p)))
sequences = st.lists(st.lists(example, min_size=1, max_size=3), max_size=3)


@given(st.lists(sequences, max_size=3), sequences)
def test_data_comes_back(steps, held_out):
    assert from_tensors(as_tensors(steps, held_out)) == (steps, held_out)


def made(folder, name="one"):
    row = Example((1, 2, 3), (False, True, True))
    method, train = settings_of("lora", rank=4), TrainSettings(learning_rate=0.1)
    run = Run(folder / name, method, train, {"model": "m"}, [], about={"rows": 2})
    return new_run(run, ([[[row]]], [[row]]))


def test_a_run_comes_back_and_is_listed(tmp_path):
    run = made(tmp_path)
    assert read_run(run.folder) == run
    row = Example((1, 2, 3), (False, True, True))
    assert read_data(run) == ([[[row]]], [[row]])
    changed = dataclasses.replace(run, finish="return", report={"held_out": [2.0, 1.0]})
    save_run(changed)
    second = made(tmp_path, "two")
    assert all_runs(tmp_path) == sorted([changed, second], key=lambda r: (r.made, r.name))
    assert changed.history() == []


def test_clashes_and_damage_are_said(tmp_path):
    run = made(tmp_path)
    with pytest.raises(InputError, match="there is such a run"):
        made(tmp_path)
    (run.folder / "data.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        read_data(run)
    (run.folder / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        read_run(run.folder)
    with pytest.raises(InputError, match="no run"):
        read_run(tmp_path / "three")
    for name in ("", "../x", "a/b", ".hidden", "x" * 65):
        with pytest.raises(InputError, match="letters"):
            checked_name(name)
