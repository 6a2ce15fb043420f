"""Memory of a mapped file that is given back: what it held can still be read."""

import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gptoss_magic.model.pages import let_go


def resident_bytes(file):
    """Of this process's mappings of a file."""
    maps = re.split(r"^(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    rss = (re.search(r"^Rss:\s+(\d+) kB", one, re.MULTILINE) for one in maps if str(file) in one)
    return sum(1024 * int(match[1]) for match in rss)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_pages_of_a_file_go_and_come_back(tmp_path):
    file = tmp_path / "weights.safetensors"
    values = torch.arange(1_000_000, dtype=torch.float32)
    save_file({"first": values, "second": values + 1}, file)
    with safe_open(file, framework="pt") as stream:
        first, second = stream.get_tensor("first"), stream.get_tensor("second")
    assert torch.equal(first + 1, second)
    whole = resident_bytes(file)
    let_go(first)
    assert resident_bytes(file) <= whole - 3_900_000
    assert torch.equal(second, values + 1)
    assert torch.equal(first, values)


def test_other_memory_stays_as_it_is():
    weights = torch.arange(1_000_000, dtype=torch.float32)
    let_go(weights)
    let_go(weights[10:12])
    let_go(torch.empty(0))
    assert torch.equal(weights, torch.arange(1_000_000, dtype=torch.float32))
