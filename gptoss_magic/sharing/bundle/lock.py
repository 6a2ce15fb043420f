"""The installed packages as a bundle names them, and as they are here."""

from __future__ import annotations

from importlib.metadata import distributions


def installed() -> dict[str, tuple[str, str]]:
    """(Name, version) of each package, by its name in small letters."""
    abouts = [one.metadata for one in distributions()]  # a file each, read as it is asked for
    named = [(about["Name"], about["Version"]) for about in abouts if about["Name"]]
    return {name.lower(): (name, version) for name, version in named}


def lock_text() -> str:
    """The installed packages as requirements, one a line, sorted."""
    lines = [f"{name}=={version}" for name, version in installed().values()]
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def packages_of(data: bytes) -> dict[str, str]:
    """Version by name, of lines NAME==VERSION; other lines say nothing."""
    lines = data.decode("utf-8", "replace").splitlines()
    pairs = (line.partition("==") for line in lines)
    return {name.strip().lower(): version.strip() for name, sign, version in pairs if sign}
