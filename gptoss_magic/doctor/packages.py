"""Python, the packages that are asked for, the extras, and what of Jupyter is here."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.doctor.finding import Finding
from gptoss_magic.model.installed import NAME, installed_version, needs
from gptoss_magic.model.installed import extras as names_of_extras

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_PYTHON = (3, 11)
LEAST_LAB, LEAST_KERNEL, HEARS_ITSELF = (4, 4), (7,), (7, 4)
LAB_EXTENSION = "gptoss-magic-lab"
FOR_DEVELOPERS = ("dev",)


def python() -> Iterator[Finding]:
    """The interpreter and the system."""
    words = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        yield Finding("python", "fails", words, f"install Python {least} or newer")
        return
    yield Finding("python", "ok", words)


def core() -> Iterator[Finding]:
    """What is always asked for; one finding for all that fits."""
    asked = needs()
    if not asked:
        words = "not installed, but imported from a checkout: versions are not known"
        yield Finding(NAME, "missing", words, "pip install -e .")
        return
    for one in asked:
        if not one.fits:
            yield Finding(one.name, "fails", one.words, f"pip install {one.pip}")
    fitting = [one for one in asked if one.fits]
    main = ", ".join(one.words for one in fitting if one.name in ("torch", "transformers"))
    words = f"{installed_version(NAME)}; {len(fitting)} of {len(asked)} packages fit"
    yield Finding(NAME, "ok", f"{words}: {main}" if main else words)


def extras() -> Iterator[Finding]:
    """Each extra: what of it is missing or of another version."""
    for extra in names_of_extras():
        if extra in FOR_DEVELOPERS:
            continue
        asked = needs(extra)
        wrong = [one.words for one in asked if not one.fits]
        name = f"extra {extra}"
        if wrong:
            yield Finding(name, "missing", "; ".join(wrong), f"pip install '{NAME}[{extra}]'")
        else:
            yield Finding(name, "ok", ", ".join(one.words for one in asked))


def lab_extension() -> Iterator[Finding]:
    """JupyterLab, and our extension where it looks for extensions."""
    lab, name, remedy = installed_version("jupyterlab"), "JupyterLab", f"pip install '{NAME}[lab]'"
    if lab is None or numbers(lab) < LEAST_LAB:
        words = "not installed" if lab is None else f"{lab}: the extension takes 4.4 or newer"
        yield Finding(name, "missing", words, remedy)
        return
    yield Finding(name, "ok", lab)
    from jupyter_core.paths import jupyter_path

    places = [
        Path(place) / LAB_EXTENSION / "package.json" for place in jupyter_path("labextensions")
    ]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        words = "its files are not in any of Jupyter's folders; cells work without it"
        yield Finding(
            "Lab extension", "missing", words, f"pip install --force-reinstall --no-deps {NAME}"
        )
        return
    version = json.loads(found.read_text("utf-8"))["version"]
    yield Finding("Lab extension", "ok", f"{LAB_EXTENSION} {version}")


def subshells() -> Iterator[Finding]:
    """Whether panels and ■ act while a cell runs: ipykernel's subshells."""
    version, name = installed_version("ipykernel"), "subshells"
    remedy = f"pip install '{NAME}[lab]'"
    if version is None:
        yield Finding(name, "missing", "ipykernel is not installed", remedy)
    elif numbers(version) < LEAST_KERNEL:
        words = f"ipykernel {version} has none: panels wait for the cell to end"
        yield Finding(name, "missing", words, remedy)
    elif numbers(version) < HEARS_ITSELF:
        words = f"ipykernel {version}: the front end chooses who hears a panel, and JupyterLab does"
        yield Finding(name, "ok", words)
    else:
        yield Finding(name, "ok", f"ipykernel {version}: panels act while a cell runs")


def numbers(version: str) -> tuple[int, ...]:
    """(7, 4, 0) of '7.4.0rc1'."""
    from packaging.version import Version

    return Version(version).release
