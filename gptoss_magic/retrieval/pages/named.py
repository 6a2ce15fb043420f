"""What the words behind `browser:` mean: sources of pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable

if TYPE_CHECKING:
    from gptoss_magic.records import PageSource

KINDS = "an index, a folder, notebook, site:PATH, zim:PATH or host:NAME"


def sources_named(names: Sequence[str], notebook: PageSource | None = None) -> list[PageSource]:
    """The sources of `names`, in order. `notebook`: what `notebook` means here.

    Raises InputError, MissingPackage.
    """
    return [_named(name.strip(), notebook) for name in names if name.strip()]


def _named(name: str, notebook: PageSource | None) -> PageSource:
    kind, _, rest = name.partition(":")
    if kind in ("folder", "site", "zim", "host") and not rest:
        raise InputError(f"browser:{name} names nothing: give {KINDS}")
    if kind == "host":
        from gptoss_magic.retrieval.pages.hosts import HostPages

        return HostPages(rest)
    if kind == "zim":
        from gptoss_magic.retrieval.pages.zim import ZimPages

        return ZimPages(name, rest)
    if kind in ("folder", "site") or ("/" in name and _is_folder(name)):
        from gptoss_magic.retrieval.pages.folder import FolderPages

        is_named = kind in ("folder", "site")
        return FolderPages(name, rest if is_named else name, is_site=kind == "site")
    if name == "notebook":
        if notebook is None:
            raise InputError("browser:notebook: there is no notebook here; run it in a cell of one")
        return notebook
    return _index_or_folder(name)


def _index_or_folder(name: str) -> PageSource:
    """A bare name: of an index, else of a folder here."""
    from gptoss_magic.retrieval.pages.folder import FolderPages
    from gptoss_magic.retrieval.pages.index import IndexPages

    try:
        return IndexPages(name)
    except InputError as error:
        if _is_folder(name):
            return FolderPages(name, name)
        raise InputError(f"browser:{printable(name)}: {error}; give {KINDS}") from error


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        return False
