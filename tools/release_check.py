"""Before a release: what would be published is built and looked at.

    python -m tools.release_check

Builds the sdist of the tracked files, the wheel from the sdist, and the site, in build/release;
then says of each check whether it holds. Ends with status 1 where one does not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "release"
PERMISSIVE = re.compile(
    r"apache|bsd|\bmit\b|mit license|isc|psf|python software|mpl|mozilla|unlicense|zlib|0bsd|cc0"
    r"|public domain|hpnd|openssl|lgpl|lesser general|bsl-1.0|nvidia|blueoak",
    re.IGNORECASE,
)
MUST_HAVE = (  # of a wheel
    "gptoss_magic/py.typed",
    "gptoss_magic/model/native/step.inc",
    "gptoss_magic/model/stand_in/data/adapter.safetensors",
    "gptoss_magic/widgets/static/uplot.min.js",
)
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".js", ".css", ".html", ".yml", ".yaml", ".cff"}
TEXT |= {".cpp", ".h", ".inc", ".ts", ".ipynb", ".cfg", ""}


def build(out: Path = OUT) -> tuple[Path, Path]:
    """(sdist, wheel): the tracked files alone are packed, and the wheel is made from the sdist."""
    shutil.rmtree(out, ignore_errors=True)
    tree = out / "tree"
    tracked = _said("git", "ls-files", "-z").split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    built = ROOT / "labextension" / "built"
    if built.is_dir():
        shutil.copytree(built, tree / "labextension" / "built")
    _run(tree, "-m", "hatchling", "build", "-t", "sdist", "-d", str(out))
    (sdist,) = out.glob("*.tar.gz")
    pip = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    _run(out, *pip, "-w", str(out), str(sdist))
    (wheel,) = out.glob("*.whl")
    return sdist, wheel


def versions() -> Iterator[str]:
    """Places that say another version than pyproject.toml."""
    import json

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    places = {
        "gptoss_magic/__init__.py": rf'^__version__ = "{re.escape(wanted)}"$',
        "CITATION.cff": rf"^version: {re.escape(wanted)}$",
        "CHANGELOG.md": rf"^## {re.escape(wanted)}\b",
    }
    for name, pattern in places.items():
        if not re.search(pattern, (ROOT / name).read_text("utf-8"), re.MULTILINE):
            yield f"{name} does not say {wanted}"
    lab = json.loads((ROOT / "labextension/package.json").read_text("utf-8"))["version"]
    if lab != wanted:
        yield f"labextension/package.json says {lab}, not {wanted}"


def contents(wheel: Path) -> Iterator[str]:
    """What a wheel lacks, and what it should not have."""
    names = zipfile.ZipFile(wheel).namelist()
    yield from (f"{name} is not in the wheel" for name in MUST_HAVE if name not in names)
    if not any(name.endswith("libgptoss.so") for name in names):
        yield "the wheel has no compiled kernels: install g++"
    if not any("labextensions/gptoss-magic-lab/package.json" in name for name in names):
        yield "the wheel has no JupyterLab extension: install npm, then make setup"
    inside = re.compile(r"^(gptoss_magic/|gptoss_magic-[\d.]+\.(dist-info|data)/)")
    yield from (f"{name} is in the wheel" for name in names if not inside.match(name))


def places(folder: Path, sdist: Path, wheel: Path) -> Iterator[str]:
    """Files that would be published with a path of this machine in them."""
    marks = [str(ROOT), *([str(Path.home())] if len(str(Path.home())) > len("/root") else [])]
    for name, data in _published(folder, sdist, wheel):
        for mark in marks:
            if mark.encode() in data:
                yield f"{name} has {mark}"


def _published(folder: Path, sdist: Path, wheel: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(sdist) as packed:
        for member in packed.getmembers():
            file = packed.extractfile(member)
            if file is not None:
                yield f"sdist: {member.name}", file.read()
    with zipfile.ZipFile(wheel) as zipped:
        for name in zipped.namelist():
            yield f"wheel: {name}", zipped.read(name)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TEXT:
            yield f"site: {path.relative_to(folder)}", path.read_bytes()


def site(folder: Path) -> Iterator[str]:
    """What mkdocs says against the site."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        yield from (done.stdout + done.stderr).strip().splitlines()[-5:]


def licences() -> Iterator[str]:
    """Dependencies, theirs included, whose licence is none that may stand beside Apache-2.0."""
    for name in sorted(closure()):
        said = licence_of(name)
        if not PERMISSIVE.search(said):
            yield f"{name}: {said or 'no licence in its metadata'}"


def closure() -> set[str]:
    """What an installation with all extras but `zim` (GPL) brings, as it is installed here."""
    from packaging.requirements import Requirement

    from gptoss_magic.model.installed import extras, needs

    brought = {"", *extras()} - {"dev", "zim"}
    wanted = [one.name for extra in brought for one in needs(extra)]
    found: set[str] = set()
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            asked = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # of an extra that is not installed here
        found.add(name)
        wanted += [
            one.name
            for one in map(Requirement, asked)
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return found


def licence_of(name: str) -> str:
    """What a package's metadata says (an SPDX expression, classifiers, a line), or its own text."""
    found = distribution(name)
    about = found.metadata
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    text = (about.get("License") or "").strip().splitlines()
    said = about.get("License-Expression") or ", ".join(classifiers) or (text[0] if text else "")
    files = [file for file in found.files or () if file.name.upper().startswith("LICEN")]
    return said or next((file.read_text("utf-8").strip().splitlines()[0] for file in files), "")


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _run(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=folder, check=True)


def main() -> int:
    """Each check with what it says."""
    sdist, wheel = build()
    folder = OUT / "site"
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "one version everywhere": versions,
        f"{wheel.name} has what it should": lambda: contents(wheel),
        "the site is built, no link is broken": lambda: site(folder),
        "no path of this machine": lambda: places(folder, sdist, wheel),
        f"licences of {len(closure())} dependencies": licences,
    }
    num_failed = 0
    for name, check in checks.items():
        problems = list(check())
        num_failed += bool(problems)
        print("FAILS" if problems else "ok   ", name)
        for problem in problems:
            print("       ", problem)
    print(f"{sdist.relative_to(ROOT)}\n{wheel.relative_to(ROOT)}")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
