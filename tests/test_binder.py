"""binder/: what repo2docker makes of it, and that it asks for what the package needs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
TOOL = "jupyter-repo2docker"


def tool():
    """repo2docker's command, on the path or beside this Python."""
    return shutil.which(TOOL) or shutil.which(TOOL, path=str(Path(sys.executable).parent))


@pytest.mark.skipif(
    tool() is None, reason="repo2docker is missing: pip install jupyter-repo2docker"
)
def test_the_dockerfile_of_repo2docker():
    done = subprocess.run(
        [tool(), "--no-build", "--debug", str(ROOT)], capture_output=True, text=True, check=True
    )
    dockerfile = done.stdout + done.stderr
    for line in (
        'env update -p ${NB_PYTHON_PREFIX} --file "binder/environment.yml"',
        "apt-get install --yes --no-install-recommends g++",
        "RUN ./binder/postBuild",
        'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"',
    ):
        assert line in dockerfile
    order = [
        dockerfile.index(part)
        for part in ('environment.yml"', "COPY --chown=0:0 src/ ", "./binder/postBuild")
    ]
    assert order == sorted(order)


def test_the_environment_has_the_torch_that_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = next(one for one in project["dependencies"] if one.startswith("torch"))
    environment = yaml.safe_load((BINDER / "environment.yml").read_text())
    assert f"pytorch-cpu{wanted.removeprefix('torch')}" in environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    python = next(one for one in environment["dependencies"] if one.startswith("python="))
    assert python.removeprefix("python=") in project["requires-python"]


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_are_bash_that_stops_at_an_error_or_hands_on(name):
    script = BINDER / name
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert "set -euo pipefail" in text if name == "postBuild" else text.endswith('exec "$@"\n')


def test_what_post_build_installs_is_there():
    text = (BINDER / "postBuild").read_text()
    extras = re.search(r"'\.\[([\w,]+)\]'", text)[1].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(project["optional-dependencies"])
    for name in re.findall(r"requirements/\S+\.txt", text):
        assert (ROOT / name).is_file()
    pins = (ROOT / "requirements/ci.txt").read_text()
    kept = subprocess.run(["grep", "-vE", "^(torch|triton)=="], input=pins, text=True,
                          capture_output=True, check=True).stdout  # fmt: skip
    assert set(pins.splitlines()) - set(kept.splitlines()) == {
        line for line in pins.splitlines() if line.startswith(("torch==", "triton=="))
    }


def test_no_place_of_ours_stands_in_it():
    for file in [*BINDER.iterdir(), ROOT / ".devcontainer/devcontainer.json"]:
        assert not re.search(r"index-url|simple/|/(?:work|tmp/)", file.read_text())


def test_the_dev_container_is_json():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    target = container["postCreateCommand"].removeprefix("make ")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
