"""Text from outside made harmless: for a prompt, for an encoding, and for one line to show."""

from __future__ import annotations

import os
import re
from pathlib import Path

LINE_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
SURROGATE = re.compile(r"[\ud800-\udfff]")
UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
BROKEN = str.maketrans({"【": "[", "】": "]", "†": "+"})
ON_PAGES = str.maketrans({"【": "〖", "】": "〗", "\u200b": None})  # as gpt-oss's own browser does
OPEN_MARK, MAX_MARK = "【", 110  # characters, of a citation


def encodable(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, which no encoding and no tokenizer takes.

    Both halves of a character that stand side by side become the character.
    """
    if is_encodable(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_encodable(text: str) -> bool:
    """Whether the text can be written in UTF-8: it has no surrogates."""
    return text.isascii() or SURROGATE.search(text) is None


def num_surrogates(text: str) -> int:
    """Code points of `text` that are half a character."""
    return 0 if text.isascii() else len(SURROGATE.findall(text))


def printable(path: str | Path) -> str:
    """A path to show in one line; bytes that are not UTF-8, and line ends, as escapes."""
    return UNSHOWN.sub(_escaped, os.fspath(path))


def one_line(text: str, max_chars: int | None = None) -> str:
    """Any text as one printable line: white space is a blank, what cannot be shown an escape."""
    line = printable(" ".join(text.split()))
    is_long = max_chars is not None and len(line) > max_chars
    return f"{line[:max_chars]} …" if is_long else line


def in_width(text: str, width: int) -> str:
    """A line of `width` characters at most: white space is a blank, the last sign an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def harmless(text: str) -> str:
    """One line of untrusted text without control tokens, citation marks or line breaks."""
    text = LINE_BREAKS.sub(" ", text).translate(BROKEN)
    return text.replace("<|", "< |").replace("|>", "| >")


def harmless_lines(text: str) -> str:
    """Untrusted text of several lines, each made harmless; only line feeds end a line."""
    return "\n".join(map(harmless, text.replace("\r\n", "\n").split("\n")))


def page_line(text: str) -> str:
    """One line of an untrusted page, as a browser shows it: no mark of it can pass for a link."""
    text = LINE_BREAKS.sub(" ", text).translate(ON_PAGES)
    return text.replace("<|", "< |").replace("|>", "| >")


def link_words(text: str) -> str:
    """Words of an untrusted page as they may stand within a link's mark, in one line."""
    return page_line(" ".join(text.split())).replace("†", "‡")


def page_lines(text: str) -> str:
    """Untrusted text of several lines, each as `page_line` has it."""
    return "\n".join(map(page_line, text.replace("\r\n", "\n").split("\n")))


class HeldMarks:
    """Text of channels as it streams, where no half of a citation `【6†L9-L11】` is shown.

    What may yet become one is held back until it is whole, its line or channel ends, or it is too
    long to be one.
    """

    def __init__(self) -> None:
        self._channel = self._held = ""

    def take(self, channel: str, text: str) -> list[tuple[str, str]]:
        """(channel, text) that may be shown now, in order."""
        released = self.rest() if channel != self._channel else []
        self._channel = channel
        text = self._held + text
        at = text.rfind(OPEN_MARK)
        is_open = at >= 0 and not any(end in text[at:] for end in "】\n")
        cut = at if is_open and len(text) - at < MAX_MARK else len(text)
        self._held = text[cut:]
        return [*released, *([(channel, text[:cut])] if cut else [])]

    def rest(self) -> list[tuple[str, str]]:
        """What was held back and is no citation: something else comes, or nothing."""
        held, self._held = self._held, ""
        return [(self._channel, held)] if held else []


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name, as Python keeps it (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
