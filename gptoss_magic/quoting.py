"""Untrusted text (documents, tool results, persona files, memories) made harmless in a prompt."""

from __future__ import annotations

import re

LINE_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
BROKEN = str.maketrans({"【": "[", "】": "]", "†": "+"})


def harmless(text: str) -> str:
    """One line of untrusted text without control tokens, citation marks or line breaks."""
    text = LINE_BREAKS.sub(" ", text).translate(BROKEN)
    return text.replace("<|", "< |").replace("|>", "| >")


def harmless_lines(text: str) -> str:
    """Untrusted text of several lines, each made harmless; only line feeds end a line."""
    return "\n".join(map(harmless, text.replace("\r\n", "\n").split("\n")))
