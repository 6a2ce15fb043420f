"""What is set before torch comes: in a process of its own, since OpenMP reads it once."""

import os
import subprocess
import sys

import pytest

SAID = """
import os, sys
{first}
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance().run_line_magic("load_ext", "gptoss_magic")
print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("first", "environment", "said"),
    [
        ("", {}, "passive None False"),
        ("", {"OMP_WAIT_POLICY": "active"}, "active None False"),
        ("", {"GOMP_SPINCOUNT": "10000"}, "None 10000 False"),
        ("import torch", {}, "None None True"),
    ],
)
def test_threads_sleep_at_barriers_unless_the_user_says_otherwise(first, environment, said):
    given = {k: v for k, v in os.environ.items() if k not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    done = subprocess.run(
        [sys.executable, "-c", SAID.format(first=first)],
        capture_output=True,
        text=True,
        env=given | environment,
        check=True,
    )
    assert done.stdout.split("\n")[-2] == said


LOADED = """
import gc, os, subprocess, sys
from gptoss_magic.model.imports import import_engine
import_engine()
assert gc.isenabled() and gc.get_freeze_count() == 0
assert gc.get_stats()[2]["collections"] < 3, gc.get_stats()  # by itself it looks seven times
show = "import os; print(os.environ.get('OMP_WAIT_POLICY'))"
print(subprocess.run([sys.executable, "-c", show], capture_output=True, text=True).stdout.strip())
"""


@pytest.mark.parametrize("given", [None, "passive"])
def test_programs_that_a_notebook_starts_have_the_user_s_own_policy(given):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == str(given)
