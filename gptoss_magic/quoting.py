"""Untrusted text (documents, tool results, persona files, memories) made harmless in a prompt."""

from __future__ import annotations

import re

LINE_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
SURROGATE = re.compile("[\ud800-\udfff]")
BROKEN = str.maketrans({"【": "[", "】": "]", "†": "+"})


def without_surrogates(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, which no encoding and no tokenizer takes.

    Both halves of a character that stand side by side become the character.
    """
    if not num_surrogates(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def num_surrogates(text: str) -> int:
    """Code points of `text` that are half a character."""
    return 0 if text.isascii() else len(SURROGATE.findall(text))


def harmless(text: str) -> str:
    """One line of untrusted text without control tokens, citation marks or line breaks."""
    text = LINE_BREAKS.sub(" ", text).translate(BROKEN)
    return text.replace("<|", "< |").replace("|>", "| >")


def harmless_lines(text: str) -> str:
    """Untrusted text of several lines, each made harmless; only line feeds end a line."""
    return "\n".join(map(harmless, text.replace("\r\n", "\n").split("\n")))
