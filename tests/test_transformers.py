"""The range of transformers is as wide as tests show: each version of a list, beside our packages.

A version lies in a folder of its own, before our packages on the path; the tests that lean on
transformers most are run with it, and a version outside the range is refused by them.
"""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PINS = ROOT / "requirements" / "transformers.txt"
TESTED = re.findall(r"^transformers==(\S+)$", PINS.read_text("utf-8"), re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RANGE = next(
    one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "transformers"
).specifier
LEANING = (  # loading, packed weights, the step, attention, the cache, adapters, tuning
    "tests/model/test_loading.py",
    "tests/model/test_packed.py",
    "tests/model/test_step.py",
    "tests/model/test_attention.py",
    "tests/generation/test_generation.py",
    "tests/generation/test_batch.py",
    "tests/adapters",
    "tests/tuning/test_trainer.py",
    "tests/tuning/test_tuning_methods.py",
    "tests/routing",
)


def minor(text):
    """(5, 23) of '5.23.0'."""
    return Version(text).release[:2]


def test_the_range_spans_the_tested_versions_and_no_others():
    tested = sorted(map(minor, TESTED))
    assert tested
    assert all(RANGE.contains(one) for one in TESTED)
    first, last = tested[0], tested[-1]
    assert not RANGE.contains(f"{first[0]}.{first[1] - 1}.99")
    assert not RANGE.contains(f"{last[0]}.{last[1] + 1}.0")
    assert minor(version("transformers")) in tested


@pytest.mark.slow
@pytest.mark.parametrize("tested", TESTED)
def test_ours_works_with_it(tmp_path, tested):
    folder = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--no-deps"]
    wanted = f"transformers=={tested}"
    subprocess.run([*pip, "--target", str(folder), wanted], check=True)
    own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    code = "import transformers; print(transformers.__version__)"
    here = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=own, check=True
    )
    assert here.stdout.strip() == tested
    flags = ["-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, *LEANING],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
