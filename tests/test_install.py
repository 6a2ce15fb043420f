"""The wheel in empty environments: without extras, with each, with all; on each Python here.

pip's index is asked, and each environment is taken away again. PYTHONS names interpreters that are
not on the path.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.release_check import build

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SUPPORTED = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
EXTRAS = ["", *(name for name in PROJECT["optional-dependencies"] if name != "dev")]
LIMIT_S = 1500
# what a newcomer does first, on a model that needs no download
ANSWER = """
import sys, tempfile
from pathlib import Path
import gptoss_magic
from gptoss_magic.testing import tiny_checkpoint
assert "torch" not in sys.modules
with tempfile.TemporaryDirectory() as folder:
    print(gptoss_magic.load(tiny_checkpoint(Path(folder) / "tiny")))
    answer = gptoss_magic.generate("Hello", max_tokens=4, temperature=0)
    assert answer.usage.completion_tokens == 4, answer.usage
print("answered by", gptoss_magic.__file__)
"""


def pythons():
    """Interpreters of the supported versions: of PYTHONS, on the path, and this one."""
    named = os.environ.get("PYTHONS", "").split()
    found = {}
    for name in [*named, *(f"python{version}" for version in SUPPORTED), sys.executable]:
        path = shutil.which(name)
        if path is None:
            continue
        code = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
        version = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if version.stdout.strip() in SUPPORTED:
            found.setdefault(version.stdout.strip(), path)
    return found


PYTHONS = pythons()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """(sdist, wheel) of the tracked files; the wheel is made from the sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def environment(tmp_path):
    """A folder for an environment, taken away at once: torch is large."""
    folder = tmp_path / "venv"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def said(*command, **options):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        **options,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def installed(python, folder, *wanted):
    """The interpreter of an empty environment with these packages."""
    said(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    pip = (inside, "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check")
    said(*pip, *wanted)
    return inside


@pytest.mark.parametrize("extra", EXTRAS, ids=lambda extra: extra or "no extras")
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_answers_in_an_empty_environment(packed, environment, tmp_path, version, extra):
    wanted = f"{packed[1]}[{extra}]" if extra else str(packed[1])
    python = installed(PYTHONS[version], environment, wanted)
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    own.pop("PYTHONPATH", None)
    assert str(environment) in said(python, "-c", ANSWER, cwd=tmp_path, env=own)
    doctor = json.loads(
        said(python, "-m", "gptoss_magic", "doctor", "--json", cwd=tmp_path, env=own)
    )
    known = {one["name"]: one for one in doctor["findings"]}
    assert doctor["works"]
    assert known["gptoss_magic"]["words"].startswith(PROJECT["version"])
    assert known["kernels"]["state"] == "ok"
    for name in filter(None, [extra]):
        assert known[f"extra {name}"]["state"] == "ok", known[f"extra {name}"]
    if extra in ("lab", "all"):
        assert known["JupyterLab"]["state"] == "ok"
    if not extra:
        assert known["extra rag"]["remedy"] == "pip install 'gptoss_magic[rag]'"


def test_the_sdist_has_what_makes_the_wheel_and_its_tests(packed):
    import tarfile

    with tarfile.open(packed[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"hatch_build.py", "gptoss_magic/model/native/dispatch.cpp", "tests/conftest.py"}
    assert wanted <= names
    assert not [name for name in names if ".venv" in name or "node_modules" in name]
