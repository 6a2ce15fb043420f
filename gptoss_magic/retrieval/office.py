"""Word, PowerPoint and Excel files (docx, pptx, xlsx) to text. Macros and links are left alone."""

from __future__ import annotations

import io
import re
import zipfile
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptoss_magic.retrieval.cells import written
from gptoss_magic.retrieval.loaders import Parsed, pages
from gptoss_magic.textfiles import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLE = b"\xd0\xcf\x11\xe0"
MAX_UNPACKED_BYTES = 200_000_000
HEADING = re.compile(r"Heading (\d)")


def docx(data: bytes) -> Parsed:
    """Paragraphs, list items and tables in order; headings by their styles. Raises Unreadable."""
    return _read(data, "docx", _word)


def pptx(data: bytes) -> Parsed:
    """Each slide's texts, tables and notes under `slide N` and its title. Raises Unreadable."""
    return _read(data, "pptx", lambda library, file: pages("slide", _slides(library, file)))


def xlsx(data: bytes) -> Parsed:
    """Each sheet's rows, as values, under `sheet N` and its title. Raises Unreadable."""
    return _read(data, "openpyxl", lambda library, file: pages("sheet", _sheets(library, file)))


def _read(data: bytes, library: str, convert: Callable[[Any, io.BytesIO], Parsed]) -> Parsed:
    if data.startswith(OLE):
        raise Unreadable("encrypted, or in a format older than Office 2007")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            num_bytes = sum(entry.file_size for entry in packed.infolist())
    except zipfile.BadZipFile as error:
        raise Unreadable("damaged, or not an Office file") from error
    if num_bytes > MAX_UNPACKED_BYTES:
        raise Unreadable(f"too large unpacked: {num_bytes / 1e6:,.0f} MB")
    try:
        module = import_module(library)
    except ImportError as error:
        raise Unreadable(
            f"Office files need {library}: pip install gptoss_magic[office]"
        ) from error
    try:
        return convert(module, io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 (what these libraries raise for bad files is open)
        raise Unreadable(f"damaged: {type(error).__name__}") from error


def _word(library: Any, file: io.BytesIO) -> Parsed:
    lines: list[str] = []
    headings: list[tuple[int, int, str]] = []
    for block in library.Document(file).iter_inner_content():
        if hasattr(block, "rows"):
            lines += [*_table(block), ""]
            continue
        text, style = " ".join(block.text.split()), block.style.name or ""
        level = _level(style)
        if level and text:
            headings.append((len(lines) + 1, level, text))
        lines += [f"- {text}"] if style.startswith("List") else [text, ""]
    return Parsed("\n".join(lines), headings)


def _level(style: str) -> int:
    """1 for the title, 2 for `Heading 1`; 0 for what is no heading."""
    found = HEADING.match(style)
    return 1 if style == "Title" else int(found[1]) + 1 if found else 0


def _slides(library: Any, file: io.BytesIO) -> Iterator[tuple[str, str]]:
    for slide in library.Presentation(file).slides:
        title = slide.shapes.title
        texts = [text for shape in slide.shapes for text in _shape(shape)]
        if slide.has_notes_slide:
            texts.append(slide.notes_slide.notes_text_frame.text)
        yield " ".join(title.text.split()) if title is not None else "", "\n".join(texts)


def _shape(shape: Any) -> Iterator[str]:
    """Texts of a shape, of a table's rows, and of what is grouped."""
    if hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape(inner)
    elif shape.has_text_frame and shape.text_frame.text.strip():
        yield shape.text_frame.text.replace("\v", "\n")
    elif shape.has_table:
        yield from _table(shape.table)


def _table(table: Any) -> list[str]:
    return [" | ".join(" ".join(cell.text.split()) for cell in row.cells) for row in table.rows]


def _sheets(library: Any, file: io.BytesIO) -> Iterator[tuple[str, str]]:
    book = library.load_workbook(file, read_only=True, data_only=True)
    for sheet in book.worksheets:
        rows = [
            f"row {number}: " + " | ".join(map(written, values))
            for number, values in enumerate(sheet.iter_rows(values_only=True), 1)
            if any(value is not None for value in values)
        ]
        yield sheet.title, "\n".join(rows)
    book.close()
