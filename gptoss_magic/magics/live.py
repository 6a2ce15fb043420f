"""The cells of this session, for `%gptoss index --notebook`."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.retrieval.loaders import Document


LOOKING = re.compile(r"(?:\s*%gptoss\s+(?:index|search|evaluate)\b[^\n]*)+\s*")


def notebook_name(names: dict[str, Any]) -> str:
    """The notebook's file name as Jupyter or VS Code tells it to the kernel; else `session`."""
    told = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "session"
    return PurePath(str(told)).name


def cell_number(shell: Any) -> int:
    """`n` of `In [n]`, the cell that runs (`execution_count` may be one ahead already)."""
    return len(shell.history_manager.input_hist_raw) - 1


def live_cells(magics: Any) -> Iterator[tuple[int, str, str]]:
    """(number, input, output's text) of the cells so far, in order.

    Inputs as they were typed; outputs are the values of cells and the answers of `%%gptoss`. Left
    out are cells that only index, search or evaluate: they would find themselves.
    """
    shell = magics.shell
    values = shell.user_ns.get("Out", {})
    for number, source in enumerate(shell.history_manager.input_hist_raw):
        if number == 0 or LOOKING.fullmatch(source):
            continue
        text = magics.answers.get(number, "") if source.lstrip().startswith("%%gptoss") else ""
        if number in values:
            text = value_text(shell, values[number])
        yield number, source, text


def value_text(shell: Any, value: Any) -> str:
    """A value as its cell shows it in text; empty where it cannot be shown."""
    data, _ = shell.display_formatter.format(value, include={"text/plain"})
    return str(data.get("text/plain", ""))


def live_notebook(magics: Any) -> Document:
    """The session so far as a document."""
    from gptoss_magic.retrieval.live import live_document

    return live_document(notebook_name(magics.shell.user_ns), live_cells(magics))


def held_live(opened: Index, magics: Any) -> list[Document]:
    """The live notebook, where the index has it: a refresh brings its new cells."""
    document = live_notebook(magics)
    return [document] if document.source in opened.known() else []
