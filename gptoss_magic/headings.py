"""The headings of a Markdown text."""

from __future__ import annotations

import re

MARK = re.compile(r"\n(?: {0,3}(`{3,}|~{3,})|(#{1,6})[ \t]+(.+?)[ \t]*#*$)", re.MULTILINE)


def headings_of(text: str) -> list[tuple[int, int, str]]:
    """(line from 1, level, title) of each `#` line outside fenced code."""
    found, fence = [], ""
    line, counted = 1, 0
    for mark in MARK.finditer(f"\n{text}"):
        fenced, level, title = mark.groups()
        if fenced and (not fence or fenced.startswith(fence)):
            fence = "" if fence else fenced
        elif level and not fence:
            line += text.count("\n", counted, mark.start())
            counted = mark.start()
            found.append((line, len(level), title))
    return found
