"""PDF to text, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.retrieval.loaders import Parsed, pages
from gptoss_magic.textfiles import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator


def pdf(data: bytes) -> Parsed:
    """The text of each page under the heading `page N`. Raises Unreadable.

    Nothing in the file is run: pypdfium2 is built without JavaScript. A scan has no text.
    """
    try:
        import pypdfium2
    except ImportError as error:
        raise Unreadable("PDF needs pypdfium2: pip install gptoss_magic[pdf]") from error
    try:
        return pages("page", _texts(data))
    except pypdfium2.PdfiumError as error:
        is_locked = "password" in str(error).lower()
        raise Unreadable("encrypted" if is_locked else "damaged, or not a PDF") from error


def _texts(data: bytes) -> Iterator[tuple[str, str]]:
    """(title, text) of each page; pages have no titles."""
    import pypdfium2

    with pypdfium2.PdfDocument(data) as document:
        for page in document:
            text = page.get_textpage()
            yield "", str(text.get_text_bounded())
            text.close()
            page.close()
