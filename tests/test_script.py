"""docs/script.py, as a stranger runs it; and what the listed names say of themselves."""

import ast
import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import gptoss_magic
from gptoss_magic.testing import tiny_checkpoint
from tests.warm import python

ROOT = Path(gptoss_magic.__file__).parent.parent
SCRIPT = ROOT / "docs" / "script.py"


def test_the_script_runs_and_is_short(tmp_path):
    if not SCRIPT.is_file():
        pytest.skip("no docs here: an installed package")
    lines = SCRIPT.read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 25
    shutil.copy(ROOT / "README.md", tmp_path)
    path = tiny_checkpoint(tmp_path / "tiny", max_position_embeddings=8192)
    done = subprocess.run(
        [python(), str(SCRIPT), str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    losses = re.fullmatch(r"loss on held-out rows, before and after: \((.*), (.*)\)", printed[0])
    assert all(float(loss) > 0 for loss in losses.groups())
    assert "sailor" in printed[1]
    assert "2 rows" in done.stdout
    assert "recall" in printed[-1]
    assert (tmp_path / "gptoss_runs" / "sailor" / "adapter").is_dir()


FUNCTIONS = [
    name
    for name in gptoss_magic.__all__
    if inspect.isfunction(getattr(gptoss_magic, name)) and "ipython" not in name
]
# of these, each error that they raise is of what they were given in turn
QUIET = {"by_policy", "unload"}


@pytest.mark.parametrize("name", gptoss_magic.__all__)
def test_each_public_name_says_what_it_is(name):
    about = getattr(gptoss_magic, name).__doc__
    assert about
    assert not about.startswith(f"{name}(")  # a dataclass's own


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - QUIET))
def test_each_public_function_says_what_it_raises(name):
    assert re.search(r"\bRaises\b|\braises\b", getattr(gptoss_magic, name).__doc__), name


def test_the_list_of_quiet_functions_is_true():
    for name in QUIET:
        tree = ast.parse(inspect.getsource(getattr(gptoss_magic, name)))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Raise)], name
