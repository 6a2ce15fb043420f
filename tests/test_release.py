"""What a release is made of: one version, licences, tests that SECURITY.md names, templates."""

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tools import release_check

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_one_version_stands_everywhere():
    assert list(release_check.versions()) == []


def test_the_dependencies_that_are_here_may_stand_beside_ours():
    assert {"torch", "transformers", "ipython", "lancedb", "wordllama"} <= release_check.closure()
    assert list(release_check.licences()) == []


LICENCES = [("Apache-2.0", True), ("BSD License", True), ("GPL-3.0-only", False), ("", False)]
LICENCES += [("GNU Lesser General Public License v3 (LGPLv3)", True), ("AGPL-3.0", False)]


@pytest.mark.parametrize(("said", "may"), LICENCES)
def test_a_licence_may_or_may_not(said, may):
    assert bool(release_check.PERMISSIVE.search(said)) is may


def test_each_test_that_security_names_is_there():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`((?:tests/)?[\w/]+(?:\.py)?)`", text.partition("## What is not")[0])
    tests = [name for name in named if name.startswith("tests/") or name.endswith(".py")]
    assert len(tests) > 15
    for name in tests:
        found = [ROOT / name] if "/" in name else [*(ROOT / "tests").rglob(name)]
        assert [path for path in found if path.exists()], name


def test_the_citation_and_the_templates_can_be_read():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text("utf-8"))
        if path.stem == "config":
            continue
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids))
        assert form["name"]
        assert form["description"]


def test_all_has_every_extra_but_the_gpu_s_torchao_the_stores_the_frameworks_and_the_developers():
    extras = PROJECT["project"]["optional-dependencies"]
    (line,) = extras["all"]
    named = set(re.search(r"\[(.*)\]", line)[1].split(","))
    left_out = {"all", "dev", "gpu", "haystack", "langchain", "llama-index", "zim"}  # zim: GPL
    assert named == set(extras) - left_out - {"chroma", "faiss", "full"}


def test_what_is_not_of_a_wheel_and_what_it_lacks_is_said(tmp_path):
    wheel = tmp_path / "gptoss_magic-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("gptoss_magic/py.typed", "")
        made.writestr("secrets.env", "TOKEN=1")
    problems = list(release_check.contents(wheel))
    assert "secrets.env is in the wheel" in problems
    assert "the wheel has no compiled kernels: install g++" in problems
    assert not [one for one in problems if "py.typed" in one]


def test_a_path_of_this_machine_is_found_in_what_is_packed(tmp_path):
    wheel, sdist, site = tmp_path / "x.whl", tmp_path / "x.tar.gz", tmp_path / "site"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("gptoss_magic/a.py", f"PLACE = {str(ROOT)!r}")
    (tmp_path / "b.py").write_text("nothing")
    with tarfile.open(sdist, "w:gz") as packed:
        packed.add(tmp_path / "b.py", "b.py")
    site.mkdir()
    (site / "index.html").write_text(f"<p>{ROOT}</p>")
    found = list(release_check.places(site, sdist, wheel))
    assert found == [f"wheel: gptoss_magic/a.py has {ROOT}", f"site: index.html has {ROOT}"]
