"""The notebook that is being worked in as a document: each cell under `In [n]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.loaders import Document, digest, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "notebook:"
MAX_OUTPUT_CHARS = 4000


def live_document(name: str, cells: Iterable[tuple[int, str, str]]) -> Document:
    """Cells as (number, input, output's text); those without input are left out.

    Its source is `notebook:NAME`, and each cell is a part of its own, cited as `In [n]`.
    """
    lines: list[str] = []
    headings: list[tuple[int, int, str]] = []
    for number, source, output in cells:
        if not source.strip():
            continue
        headings.append((len(lines) + 1, 1, f"In [{number}]"))
        lines += plain_text(source.strip("\n")).split("\n")
        if output.strip():
            headings.append((len(lines) + 1, 2, f"Out [{number}]"))
            lines += plain_text(output.strip("\n")[:MAX_OUTPUT_CHARS]).split("\n")
        lines.append("")
    text = "\n".join(lines)
    source = PREFIX + printable(name)
    return Document(
        source, source, digest(text.encode("utf-8", "surrogatepass")), "live", text, tuple(headings)
    )
