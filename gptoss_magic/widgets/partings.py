"""Where two answers part: what was recorded and what is said here, to unfold."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.widgets.code_blocks import BOX
from gptoss_magic.widgets.styles import MUTED, PALE

if TYPE_CHECKING:
    from collections.abc import Mapping

    Parting = tuple[str, str, str]

WRAPPED = BOX.replace("white-space: pre;", "white-space: pre-wrap; overflow-wrap: anywhere;")
SIDES = ("recorded", "here")


def partings_html(partings: Mapping[str, Parting]) -> str:
    """By title (what both begin with, the rest as recorded, the rest as said here)."""
    return "".join(_details(title, *parting) for title, parting in partings.items())


def partings_text(partings: Mapping[str, Parting]) -> str:
    """The same as text."""
    return "\n\n".join(
        f"{title}\n  both:     {before!r}\n  recorded: {recorded!r}\n  here:     {here!r}"
        for title, (before, recorded, here) in partings.items()
    )


def _details(title: str, before: str, recorded: str, here: str) -> str:
    shown = "".join(
        f'<div style="{MUTED}">{side}</div><div dir="auto" style="{WRAPPED}">'
        f'<span style="{PALE}">{escape(before)}</span><mark>{escape(rest)}</mark></div>'
        for side, rest in zip(SIDES, (recorded, here), strict=True)
    )
    return f"<details><summary>{escape(title)}</summary>{shown}</details>"
