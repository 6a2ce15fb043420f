"""Files of the packages that suites come from."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from gptoss_magic.errors import MissingPackage


def folder_of(module: str, distribution: str, how: str = "") -> Path:
    """The folder of an installed package, which is not imported. Raises MissingPackage."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        install = how or f"pip install {distribution}"
        raise MissingPackage(f"this suite is read from the package {distribution}: {install}")
    return Path(next(iter(spec.submodule_search_locations)))


def version_of(distribution: str) -> str:
    """`NAME VERSION`."""
    return f"{distribution} {metadata.version(distribution)}"


def data_file(folder: Path, name: str, distribution: str) -> Path:
    """A file of the package. Raises MissingPackage where this version has none."""
    path = folder / name
    if not path.is_file():
        raise MissingPackage(
            f"{version_of(distribution)} has no {name}: another version has; install that one"
        )
    return path
