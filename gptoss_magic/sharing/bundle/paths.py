"""Paths inside a bundle: what a foreign one may be called, and a safe name for one of ours."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

DRIVE = re.compile(r"[A-Za-z]:")
DEVICE = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])", re.IGNORECASE
)
SIGNS = frozenset('\\/:*?"<>|')  # that some file system does not take, or takes for something else
MOST_BYTES, MOST_PATH_BYTES = 200, 1000
ANEW = "ask its maker for another"  # what to do about a bundle that is refused
SHAPE = re.compile(
    r"[^/]+\.ipynb|bundle\.json|packages\.txt"
    r"|adapters/[^/]+/(?:adapter_config\.json|adapter_model\.safetensors)"
    r"|adapters/[^/]+/gptoss_magic\.(?:json|safetensors)"
    r"|personas/[^/]+\.md|presets/[^/]+\.json|journals/[^/]+/\d{20}-\d+\.parquet"
    r"|indexes/[^/]+/(?:sources/.+|[^/]+\.lance/.+)"
)


def check_path(path: str) -> None:
    """Raise InputError for a path that could leave the folder, or that some system misreads."""
    fault = path_fault(path)
    if fault:
        raise InputError(f"the path {one_line(path, 80)!r} in it {fault}; {ANEW}")


def path_fault(path: str) -> str:
    """What is wrong with a path of a bundle; '' where nothing is."""
    if not 0 < len(path.encode("utf-8", "surrogatepass")) <= MOST_PATH_BYTES:
        return "is empty or too long"
    if path.startswith("/") or DRIVE.match(path):
        return "is absolute"
    if "\\" in path:
        return "has a backslash"
    faults = map(_name_fault, unicodedata.normalize("NFC", path).split("/"))
    return next(filter(None, faults), "")


def _name_fault(name: str) -> str:
    if name in ("", ".", ".."):
        return "leads elsewhere ('..', '.' or an empty name)"
    if DEVICE.fullmatch(name.partition(".")[0].strip()):
        return "is called like a device of Windows"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a blank or a dot"
    if not name.isprintable() or SIGNS & set(name):
        return "has a character that file names do not have everywhere"
    return "is too long" if len(name.encode()) > MOST_BYTES else ""


def check_paths(paths: Iterable[str]) -> None:
    """Raise InputError where a path is unsafe, none of a bundle's, or two would be one file."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        check_path(path)
        if not SHAPE.fullmatch(path):
            raise InputError(f"the path {one_line(path, 80)!r} in it is none of a bundle's; {ANEW}")
        if folded(path) in seen:
            twin = one_line(seen[folded(path)], 80)
            raise InputError(
                f"the paths {twin!r} and {one_line(path, 80)!r} in it are one file; {ANEW}"
            )
        seen[folded(path)] = path
        _add_folders(folders, path)
    for name in seen.keys() & folders.keys():
        raise InputError(
            f"the path {one_line(seen[name], 80)!r} in it is a file and a folder; {ANEW}"
        )


def _add_folders(folders: dict[str, str], path: str) -> None:
    """Note the folders above `path`; two that only a system with cases tells apart are refused."""
    names = path.split("/")[:-1]
    for depth in range(1, len(names) + 1):
        folder = "/".join(names[:depth])
        twin = folders.setdefault(folded(folder), folder)
        if twin != folder:
            raise InputError(
                f"the folders {one_line(twin, 80)!r} and {one_line(folder, 80)!r} in it are one; "
                f"{ANEW}"
            )


def folded(path: str) -> str:
    """Equal for paths that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def safe_name(name: str) -> str:
    """`name` as a file's name that `check_path` takes."""
    text = unicodedata.normalize("NFC", name)
    text = "".join(c if c.isprintable() and c not in SIGNS else "_" for c in text)
    stem, dot, suffix = text.rpartition(".")
    head = (stem or suffix).encode()[: MOST_BYTES - 50].decode("utf-8", "ignore")
    text = (f"{head}{dot}{suffix[:20]}" if stem else head).strip(" .") or "_"
    return f"_{text}" if _name_fault(text) else text


class Names:
    """Gives each a path of its own, also where cases do not tell names apart."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, folder: str, name: str) -> str:
        """`folder`/`name`, with a number before its suffix where that is taken."""
        safe = safe_name(name)
        stem, dot, suffix = safe.rpartition(".")
        number, path = 1, f"{folder}{safe}"
        while folded(path) in self._taken:
            number += 1
            path = f"{folder}{stem}-{number}{dot}{suffix}" if stem else f"{folder}{safe}-{number}"
        self._taken.add(folded(path))
        return path
