"""An sdist, a wheel from it without npm and without a compiler, and an empty environment."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.screenshots import EXTENSION, ROOT

STATUS = """
from IPython.core.interactiveshell import InteractiveShell
import gptoss_magic
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "gptoss_magic")
shell.run_line_magic("gptoss", "load tiny")
print(gptoss_magic.__file__)
shell.run_line_magic("gptoss", "status")
"""
BUILD = "import sys; from hatchling.build import {0} as make; print(make(sys.argv[1]))"


def run(command, cwd, **environment):
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def bare(folder):
    """A PATH with nothing on it: no npm, no compiler."""
    folder.mkdir()
    return {"PATH": str(folder), "CXX": "", "CC": "", "PYTHONPATH": ""}


@pytest.mark.slow
def test_a_wheel_from_an_sdist_needs_neither_npm_nor_a_compiler(tmp_path):
    if not EXTENSION.is_dir():
        pytest.skip("the extension is not built: make setup, with Node and npm")
    pytest.importorskip("hatchling")
    from gptoss_magic.testing import tiny_checkpoint

    tiny_checkpoint(tmp_path / "tiny", packed=True)
    run([sys.executable, "-c", BUILD.format("build_sdist"), tmp_path], ROOT)
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert any("labextension/built/static/remoteEntry" in name for name in names)
    assert not any("/node_modules/" in name for name in names)
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    nothing = bare(tmp_path / "bare")
    said = run([sys.executable, "-c", BUILD.format("build_wheel"), tmp_path], source, **nothing)
    assert "no C++ kernels, plain torch runs instead" in said
    assert "JupyterLab" not in said
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
    shared = "data/share/jupyter/labextensions/gptoss-magic-lab"
    assert any(name.endswith(f"{shared}/install.json") for name in inside)
    assert not any(name.endswith(".so") for name in inside)
    check_installed(tmp_path, wheel, nothing)


def check_installed(folder, wheel, nothing):
    """In an environment that has our wheel, and the packages of this one behind it."""
    run([sys.executable, "-m", "venv", "--without-pip", folder / "empty"], folder)
    python = folder / "empty" / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel], folder)
    paths = {"base": folder / "empty", "platbase": folder / "empty"}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    own = nothing | {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_PATH": ""}
    listed = run([python, "-m", "jupyterlab.labextensions", "list"], folder, **own)
    assert re.search(r"gptoss-magic-lab.* v\S+.*enabled.*OK", listed)
    said = run([python, "-c", STATUS], folder, **own)
    assert str(folder / "empty") in said
    assert re.search(r"experts +torch: no compiled library: install a C\+\+ compiler", said)


def test_without_npm_and_built_files_the_build_says_one_line(tmp_path):
    sys.path.insert(0, str(ROOT))
    from hatch_build import build_lab, is_stale

    lab = tmp_path / "labextension"
    (lab / "src").mkdir(parents=True)
    (lab / "src" / "index.ts").write_text("export default [];")
    assert is_stale(lab)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(
            FileNotFoundError, match=r"^its files are not built; install Node [\d.]+"
        ):
            build_lab(lab)
        (lab / "built").mkdir()
        (lab / "built" / "package.json").write_text("{}")
        build_lab(lab)
    os.utime(lab / "built" / "package.json", (1, 1))
    assert is_stale(lab)
