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
