"""A notebook as one HTML file that reads without network, kernel or script, and can be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import InputError, MissingPackage, error_line
from gptoss_magic.quoting import printable
from gptoss_magic.sharing.notebooks import KEY, cells_of, member
from gptoss_magic.sharing.page_records import notebook_of_page
from gptoss_magic.textfiles import read_json, read_text
from gptoss_magic.vocabulary import counted


@dataclass(frozen=True)
class Page:
    """What was written: where, of how many cells, with how many records, without what."""

    path: Path
    num_cells: int
    num_records: int
    num_bytes: int
    left_out: str

    def __str__(self) -> str:
        left = f"; left out: {self.left_out}" if self.left_out else ""
        return (
            f"{printable(self.path)}: {counted(self.num_cells, 'cell')}, "
            f"{counted(self.num_records, 'answer')} with tokens, {self.num_bytes:,} bytes{left}"
        )


def page(path: str | Path, out: str | Path | None = None, *, force: bool = False) -> Page:
    """Write a notebook as one HTML file; `out`: beside it, with its name, where nothing is given.

    Nothing of the notebook is run. An image file below its folder goes into the page, and nothing
    else of the disk does. What is at `out` stays, but for a page of this very notebook, and with
    `force`. Raises InputError for what is no notebook, MissingPackage, StorageError.
    """
    source = Path(path).expanduser()
    notebook = read_notebook(source)
    target = Path(out).expanduser() if out is not None else source.with_suffix(".html")
    if target.exists() and target.samefile(source):
        raise InputError(f"{printable(target)}: this is the notebook itself; give another name")
    if not force:
        check_free(target, notebook, printable(source.name))
    written = page_text_of(notebook, source, target)
    data = written.html.encode("utf-8")
    with whole_file(target) as file:
        file.write_bytes(data)
    return Page(target, written.num_cells, written.num_records, len(data), str(written.left))


def page_text_of(notebook: dict[str, Any], source: Path, target: Path) -> Any:
    """The text of a page (`PageText`). Raises MissingPackage."""
    try:
        from gptoss_magic.sharing.pages.page_html import page_text

        return page_text(notebook, printable(source.name), target.name, source.parent)
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"a page needs {error.name}: pip install 'gptoss_magic[lab]'"
        ) from error


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's JSON as nbformat 4 has it, older ones converted. Raises InputError."""
    if not path.is_file():
        raise InputError(f"{printable(path)}: no such notebook; give the path of an .ipynb file")
    notebook = read_json(path)
    if not isinstance(notebook, dict) or not {"cells", "worksheets"} & notebook.keys():
        raise InputError(f"{printable(path)}: no notebook: it has no cells; give an .ipynb file")
    if "cells" in notebook:
        return notebook
    try:
        import nbformat

        return dict(nbformat.convert(nbformat.from_dict(notebook), 4))  # type: ignore[no-untyped-call]
    except ModuleNotFoundError as error:
        raise MissingPackage(
            "a notebook of this age needs nbformat: pip install 'gptoss_magic[lab]'"
        ) from error
    except Exception as error:
        raise InputError(
            f"{printable(path)}: a notebook of an old format that cannot be read "
            f"({error_line(error)}); save it in Jupyter first"
        ) from error


def check_free(target: Path, notebook: dict[str, Any], name: str) -> None:
    """Raise InputError where something else than a page of this notebook would be lost."""
    if not target.exists():
        return
    if target.is_dir():
        raise InputError(f"{printable(target)}: a folder; give the name of a file")
    try:
        before = notebook_of_page(read_text(target).text, printable(target))
    except InputError:
        what = "something else is there"
    else:
        if _is_same(before, notebook, name):
            return
        what = f"the page of another notebook is there ({_name(before)})"
    raise InputError(f"{printable(target)}: {what}; give another name, or --force to overwrite it")


def _is_same(before: dict[str, Any], notebook: dict[str, Any], name: str) -> bool:
    """The same name, and where cells have ids, at least one of them."""
    ids, known = _ids(notebook), _ids(before)
    return _name(before) == name and (not ids or not known or bool(ids & known))


def _name(notebook: dict[str, Any]) -> str:
    return str(member(notebook.get("metadata"), KEY).get("notebook", ""))


def _ids(notebook: dict[str, Any]) -> set[str]:
    return {
        cell["id"]
        for cell in cells_of(notebook)
        if isinstance(cell, dict) and isinstance(cell.get("id"), str)
    }
