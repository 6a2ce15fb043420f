"""`python -m gptoss_magic doctor` on this machine, and where something is missing."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

from gptoss_magic.doctor import as_text, examine, machine, packages, places
from gptoss_magic.doctor.examine import LOOKS, works
from gptoss_magic.doctor.finding import Finding
from gptoss_magic.errors import MissingPackage
from gptoss_magic.model import installed
from gptoss_magic.model.backends import native
from gptoss_magic.model.native.build import compiler

COMMAND = [sys.executable, "-m", "gptoss_magic", "doctor"]


def asked(*words, **environment):
    """(exit status, output) of the command; a variable of None is taken away."""
    own = {**os.environ, **environment}
    own = {name: value for name, value in own.items() if value is not None}
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=own, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def by_name(output):
    known = json.loads(output)
    assert known["gptoss_magic"]
    return {one["name"]: one for one in known["findings"]}


def test_it_says_what_is_here_as_lines_and_as_json():
    status, said = asked()
    known = by_name(asked("--json")[1])
    assert status == 0
    for name, one in known.items():
        assert one["state"] in ("ok", "missing", "fails")
        line = next(line for line in said.splitlines() if line[8:].startswith(f"{name}  "))
        assert line.startswith(one["state"])
        assert one["remedy"] in said
    assert f"transformers {version('transformers')}" in known["gptoss_magic"]["words"]
    assert known["python"]["words"].startswith(".".join(map(str, sys.version_info[:3])))
    assert known["extra rag"]["state"] == "ok"
    assert "extra dev" not in known
    library, why = native()
    assert known["kernels"]["words"] == (library.name if library else f"plain torch, slower: {why}")
    assert said.splitlines()[-1].startswith("a model can be loaded and asked here; ")


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
def test_a_compiler_is_named():
    known = by_name(asked("--json", CXX=None)[1])
    assert known["compiler"]["state"] == "ok"
    assert known["compiler"]["words"] in ("g++", "clang++")


def test_without_a_compiler_it_says_what_to_install(tmp_path):
    status, output = asked("--json", PATH=str(tmp_path), CXX=None)
    known = by_name(output)
    assert status == 0
    assert known["compiler"]["state"] == "missing"
    assert "apt-get install g++" in known["compiler"]["remedy"]
    assert known["python"]["state"] == "ok"


def test_a_folder_that_cannot_be_written_fails(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    os.environ["GPTOSS_MAGIC_CACHE"] = str(blocked / "below")  # put back after the test
    os.environ["TMPDIR"] = str(tmp_path)
    cache, *others = places.disk()
    assert cache.state == "fails"
    assert cache.remedy == "set GPTOSS_MAGIC_CACHE to another folder"
    assert {one.state for one in others} == {"ok"}
    assert [*tmp_path.iterdir()] == [blocked]


def test_more_threads_than_processors_are_named():
    import torch

    torch.set_num_threads(64)
    (finding,) = machine.processor()
    assert finding.state == "missing"
    assert "OMP_NUM_THREADS=" in finding.remedy


def test_a_look_that_fails_is_a_finding_and_the_others_go_on():
    def broken_look():
        raise RuntimeError("a broken package")
        yield

    first, second = examine((broken_look, packages.python))
    assert first == Finding("broken look", "fails", "RuntimeError: a broken package")
    assert second.state == "ok"
    assert not works([first, second])
    assert as_text([first, second]).endswith("mend what fails first; 0 of 2 are missing")


def test_the_home_folder_is_not_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.shown(tmp_path / "x" / "y") == "~/x/y"
    assert len(LOOKS) == len(set(LOOKS))


FITS = [
    ("", "1.0", True),
    (">=2.1,<2.3", "2.2.9", True),
    (">=2.1,<2.3", "2.3.0", False),
    (">=2.1,<2.3", "2.2.0rc1", True),
    (">=2.1", None, False),
]


@pytest.mark.parametrize(("versions", "here", "fits"), FITS)
def test_a_version_fits_its_range(versions, here, fits):
    assert installed.PackageNeed("thing", versions, here).fits is fits


def test_what_does_not_fit_says_both_versions_and_what_to_run():
    need = installed.PackageNeed("transformers", "<5.24,>=5.22", "4.57.1")
    assert need.words == "transformers 4.57.1 is installed, and gptoss_magic needs <5.24,>=5.22"
    assert need.pip == "'transformers<5.24,>=5.22'"
    assert installed.PackageNeed("mcp", ">=2", None).words == "mcp is not installed"


def metadata(folder, name, release, *requires):
    """An installed package of that name, as its metadata alone."""
    about = folder / f"{name}-{release}.dist-info"
    about.mkdir(parents=True)
    lines = [f"Requires-Dist: {one}" for one in requires]
    (about / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {release}", *lines]) + "\n"
    )


def test_another_transformers_is_one_line_at_a_load(tmp_path):
    """With another version's metadata first on the path: nothing of torch is imported then."""
    metadata(tmp_path, "transformers", "4.57.1")
    metadata(tmp_path, "gptoss_magic", "0.1.0", "transformers>=5.22,<6")
    code = (
        "import sys, gptoss_magic\n"
        "try: gptoss_magic.load('built-in')\n"
        "except gptoss_magic.MissingPackage as error: print(error, 'torch' in sys.modules)\n"
    )
    own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path[1:]])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=own, check=True
    )
    assert done.stdout.strip() == (
        "transformers 4.57.1 is installed, and gptoss_magic needs <6,>=5.22: "
        "pip install 'transformers<6,>=5.22' False"
    )


def test_needs_of_extras_are_opened_and_core_packages_are_not_of_them(tmp_path, monkeypatch):
    metadata(
        tmp_path,
        "gptoss_magic",
        "0.1.0",
        "torch>=2",
        'lancedb>=0.4; extra == "rag"',
        'gptoss_magic[rag]; extra == "pdf"',
        'pypdfium2>=5; extra == "pdf"',
        'triton; sys_platform == "none" and extra == "pdf"',
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [one.name for one in installed.needs()] == ["torch"]
    assert [one.name for one in installed.needs("pdf")] == ["lancedb", "pypdfium2"]
    assert installed.needs("rag")[0].versions == ">=0.4"
    installed.check_installed(["accelerate"])
    metadata(tmp_path, "torch", "1.0")
    with pytest.raises(MissingPackage, match=r"torch 1\.0 is installed, and"):
        installed.check_installed()


def test_nothing_of_it_needs_a_tool_of_the_system(tmp_path):
    assert shutil.which("nvidia-smi", path=str(tmp_path)) is None
    assert "/" not in machine.processor_name()
