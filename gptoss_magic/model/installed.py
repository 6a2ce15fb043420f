"""Which packages this one asks for, and which are here: from the metadata of what is installed.

pyproject.toml says each range once; an installation carries it along. From a checkout that was
never installed nothing is known, and nothing is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import MissingPackage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "gptoss_magic"
ENGINE = ("torch", "transformers", "accelerate", "safetensors")  # what a load imports first


@dataclass(frozen=True)
class PackageNeed:
    """A package that is asked for, in which `versions` ('' for any), and the one here, or None."""

    name: str
    versions: str
    installed: str | None

    @property
    def fits(self) -> bool:
        """True where it is here in a version that is asked for."""
        from packaging.specifiers import SpecifierSet

        return self.installed is not None and SpecifierSet(self.versions).contains(
            self.installed, prereleases=True
        )

    @property
    def words(self) -> str:
        """What is wrong with it, or which version is here."""
        if self.installed is None:
            return f"{self.name} is not installed"
        if self.fits:
            return f"{self.name} {self.installed}"
        return f"{self.name} {self.installed} is installed, and {NAME} needs {self.versions}"

    @property
    def pip(self) -> str:
        """What pip is asked for, in quotes where a shell would read it otherwise."""
        return f"'{self.name}{self.versions}'" if self.versions else self.name


def needs(extra: str = "") -> list[PackageNeed]:
    """What the package asks for here: without an extra, or what this one adds, in their order."""
    found: dict[str, PackageNeed] = {}
    for name, versions in _asked(extra):
        found[name] = PackageNeed(name, versions, installed_version(name))
    return list(found.values())


def extras() -> list[str]:
    """The names of its extras, sorted."""
    from importlib.metadata import metadata

    try:
        return sorted(metadata(NAME).get_all("Provides-Extra") or [])
    except PackageNotFoundError:
        return []


def installed_version(name: str) -> str | None:
    """The version of a package that is installed; None where it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_installed(names: Iterable[str] = ENGINE) -> None:
    """Raise MissingPackage, with the range, for one that is missing or of another version."""
    wrong = [one for one in needs() if one.name in set(names) and not one.fits]
    if wrong:
        said = "; ".join(one.words for one in wrong)
        raise MissingPackage(f"{said}: pip install {' '.join(one.pip for one in wrong)}")


def _asked(extra: str) -> Iterator[tuple[str, str]]:
    """(package, its versions) of an extra, those that it names of this package opened."""
    from packaging.requirements import Requirement

    try:
        listed = requires(NAME) or []
    except PackageNotFoundError:
        return
    for one in map(Requirement, listed):
        if not _is_of(one.marker, extra):
            continue
        if one.name.replace("-", "_") == NAME:
            for inner in sorted(one.extras):
                yield from _asked(inner)
        else:
            yield one.name, str(one.specifier)


def _is_of(marker: Any, extra: str) -> bool:
    """True for what is asked for without an extra, or by this one alone, on this machine."""
    is_core = marker is None or bool(marker.evaluate({"extra": ""}))
    return is_core if not extra else not is_core and bool(marker.evaluate({"extra": extra}))
