"""Images as addresses that have their data inside, from base64, SVG texts and files beside it."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

# what a file or an output must begin with, whatever it calls itself
SIGNS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
MAX_FILE_BYTES = 20_000_000


def of_base64(text: str) -> str:
    """The address of an image in base64; '' where it is none of the kinds that browsers show."""
    try:
        data = base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return of_bytes(data)


def of_svg(text: str) -> str:
    """The address of a drawing: as an image, nothing in it can run or fetch."""
    start = re.search(r"<svg[\s>]", text)
    if start is None:
        return ""
    drawing = text[start.start() :]
    if "xmlns=" not in drawing[: drawing.find(">") + 1]:
        drawing = drawing.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    data = drawing.encode("utf-8", "replace")
    try:
        ET.fromstring(data)  # noqa: S314 (its DOCTYPE, where bombs are, is cut off above)
    except (ET.ParseError, RecursionError, ValueError):
        return ""
    return _address("image/svg+xml", data)


def of_bytes(data: bytes) -> str:
    """The address of an image, told by its first bytes; '' for anything else."""
    kind = next((kind for sign, kind in SIGNS if data.startswith(sign)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        kind = "image/avif"
    return _address(kind, data) if kind else ""


def of_file(source: str, folder: Path | None) -> str:
    """The address of an image file below `folder`; '' where it is elsewhere, too large or none."""
    if folder is None or re.match(r"[a-zA-Z][\w+.-]+:|//|[/\\]", source):
        return ""
    try:
        inside = folder.resolve()
        path = (inside / unquote(re.split("[?#]", source, maxsplit=1)[0])).resolve()
        if inside not in path.parents or not path.is_file():
            return ""
        if path.stat().st_size > MAX_FILE_BYTES:
            return ""
        data = path.read_bytes()
    except (OSError, ValueError):  # a name that no file can have
        return ""
    if path.suffix.lower() == ".svg":
        return of_svg(data.decode("utf-8", "replace"))
    return of_bytes(data)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
