"""Several processes do what one does: the same gradients, weights and losses."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.ranks.even import mesh_sides
from gptoss_magic.ranks.replicated import shares
from gptoss_magic.records import Example
from tests.ranks.parity import apart, trained

ROOT = Path(gptoss_magic.__file__).parents[1]
SCRIPT = Path(__file__).parent / "parity_script.py"
ADAPTERS = ("lora", "experts", "router", "experts-full", "adalora", "heads", "prompt")
METHODS = {"ddp": (*ADAPTERS, "prefix", "full"), "ep": ADAPTERS, "fsdp": (*ADAPTERS, "full")}
BOTH = [("fsdp+ep", name) for name in ADAPTERS]  # on four: a mesh has two sides
EVERY = [(strategy, name) for strategy, names in METHODS.items() for name in names]
FOUR = [("ddp", "lora"), ("ep", "experts"), ("fsdp", "experts"), ("fsdp", "full")]
LIMIT = 1e-6  # relative; weights are compared in fp64, where AdamW does not amplify rounding


def launched(folder, count, wanted=EVERY):
    """What the script wrote, by strategy and method: one launch for all of them."""
    interface = {"linux": "lo", "darwin": "lo0"}[sys.platform]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": interface, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", str(count)]
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder), *(":".join(one) for one in wanted)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {one: load_file(folder / f"{'-'.join(one)}.safetensors") for one in wanted}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    return launched(tmp_path_factory.mktemp("two"), 2)


@cache
def alone(name):
    """What one process does, whatever it is compared with."""
    return trained(name)


def check(found, name):
    gradients, weights, losses, held = alone(name)
    for i, (gradient, weight) in enumerate(zip(gradients, weights, strict=True)):
        assert apart(found[f"gradient.{i}"], gradient) <= LIMIT
        assert apart(found[f"weight.{i}"], weight) <= LIMIT
    assert torch.allclose(found["losses"], losses, rtol=LIMIT, atol=0)
    assert torch.allclose(found["held"], held, rtol=LIMIT, atol=0)


@pytest.mark.parametrize(("strategy", "name"), EVERY)
def test_two_processes_learn_what_one_does(by_two, strategy, name):
    check(by_two[strategy, name], name)


@pytest.fixture(scope="module")
def by_four(tmp_path_factory):
    """Four texts a step at most: some of the ranks have one, or none."""
    return launched(tmp_path_factory.mktemp("four"), 4, [*BOTH, *FOUR])


@pytest.mark.parametrize(("strategy", "name"), [*BOTH, *FOUR])
def test_four_processes_learn_it_too(by_four, strategy, name):
    check(by_four[strategy, name], name)


@pytest.mark.slow
def test_four_processes_learn_the_rest(tmp_path):
    for (_, name), found in launched(tmp_path, 4, sorted({*EVERY} - {*FOUR})).items():
        check(found, name)


@given(st.integers(1, 64), st.integers(0, 64))
def test_a_mesh_has_two_sides_that_make_all_ranks(num_ranks, on_machine):
    try:
        rows, row = mesh_sides(num_ranks, on_machine)
    except InputError:
        assert all(num_ranks % n for n in range(2, num_ranks))
        return
    assert rows * row == num_ranks
    assert min(rows, row) > 1
    if 1 < on_machine < num_ranks and num_ranks % on_machine == 0:
        assert row == on_machine


EXAMPLE = st.integers(1, 40).map(lambda n: Example(tuple(range(n)), (True,) * n))


@given(st.lists(st.lists(EXAMPLE, min_size=1, max_size=4), max_size=4), st.integers(1, 5))
def test_shares_are_all_of_a_step_and_about_equal(sequences, count):
    parts = shares(sequences, count)
    assert parts == shares(sequences, count)
    assert len(parts) == count

    def lengths(some):
        return sorted(len(e.ids) for sequence in some for e in sequence)

    whole = lengths(sequences)
    assert lengths([s for part in parts for s in part]) == whole
    longest = max((sum(len(e.ids) for e in s) for s in sequences), default=0)
    assert all(sum(len(e.ids) for e in s) <= longest for part in parts for s in part)
    loads = [sum(lengths(part)) for part in parts]
    assert max(loads) - min(loads) <= max(whole, default=0)
