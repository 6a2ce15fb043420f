"""A terminal's text as HTML: colours and weights become classes, what was overwritten is gone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.quoting import encodable
from gptoss_magic.sharing.pages.contrast import Colour, css
from gptoss_magic.sharing.pages.left_out import LeftOut

if TYPE_CHECKING:
    from gptoss_magic.sharing.pages.sheets import Sheets

# CSI sequences, OSC sequences (titles, links) to their end, other escapes, and control characters
ESCAPE = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[@-_ -/0-~]?|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]"
)
COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
STYLES = {
    1: "bold",
    2: "dim",
    3: "italic",
    4: "underline",
    7: "inverse",
    9: "strike",
    53: "overline",
}
ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("strike",)}
LEVELS = (0, 95, 135, 175, 215, 255)  # of the 6×6×6 colour cube


@dataclass(frozen=True)
class Pen:
    """How characters are written: a named colour or #rrggbb, and styles."""

    ink: str = ""
    ground: str = ""
    styles: frozenset[str] = frozenset()

    def after(self, codes: str) -> Pen:
        """The pen behind an SGR sequence such as `1;31` or `38;5;208`."""
        numbers = [int(code or 0) for code in re.split("[;:]", codes)]
        pen = self
        while numbers:
            code = numbers.pop(0)
            if code in (38, 48):
                colour = _extended(numbers)
                pen = replace(pen, ink=colour) if code == 38 else replace(pen, ground=colour)
            else:
                pen = pen._simple(code)
        return pen

    def _simple(self, code: int) -> Pen:
        if code == 0:
            return Pen()
        if code in STYLES:
            return replace(self, styles=self.styles | {STYLES[code]})
        if code in ENDS:
            return replace(self, styles=self.styles - set(ENDS[code]))
        if 30 <= code <= 39 or 90 <= code <= 97:
            return replace(self, ink="" if code == 39 else COLOURS[code % 10])
        if 40 <= code <= 49 or 100 <= code <= 107:
            return replace(self, ground="" if code == 49 else COLOURS[code % 10])
        return self

    def opening(self, sheets: Sheets) -> str:
        """A span's start tag; '' for plain text."""
        ink, ground = self.ink, self.ground
        classes = [f"gp-{style}" for style in sorted(self.styles)]
        classes += [f"gp-ink-{ink}"] if ink in COLOURS else []
        classes += [f"gp-ground-{ground}"] if ground in COLOURS else []
        own = {"color": ink, "background-color": ground}
        style = "; ".join(f"{key}: {value}" for key, value in own.items() if value[:1] == "#")
        classes += [sheets.class_of(style, "", LeftOut())] if style else []
        return f'<span class="{" ".join(classes)}">' if classes else ""


def ansi_html(text: str, sheets: Sheets) -> str:
    """Escaped text in spans."""
    parts, at, pen = [], 0, Pen()
    text = overwritten(encodable(text))
    for match in ESCAPE.finditer(text):
        parts.append(_written(text[at : match.start()], pen, sheets))
        at = match.end()
        if match["codes"] is not None:
            pen = pen.after(match["codes"])
    return "".join([*parts, _written(text[at:], pen, sheets)])


def overwritten(text: str) -> str:
    """As a terminal leaves it: backspaces and carriage returns write over what stands there."""
    text = text.replace("\r\n", "\n")
    if "\b" in text:
        text = _erased(text)
    if "\r" not in text:
        return text
    return "\n".join(_last_written(line) for line in text.split("\n"))


def _erased(text: str) -> str:
    kept: list[str] = []
    for character in text:
        if character != "\b":
            kept.append(character)
        elif kept and kept[-1] != "\n":
            kept.pop()
    return "".join(kept)


def _last_written(line: str) -> str:
    """What a line shows: the last rewriting, and the rest of a longer one below it."""
    shown = ""
    for piece in line.split("\r"):
        if piece:
            is_erased = "\x1b" in piece or "\x1b" in shown
            shown = piece if is_erased else piece + shown[len(piece) :]
    return shown


def _extended(numbers: list[int]) -> str:
    """The colour of `5;N` or `2;R;G;B`, taken off the front; '' for what is no colour."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        return _of_256(numbers.pop(0))
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (numbers.pop(0) for _ in range(3))
        return _hex((red, green, blue))
    return ""


def _of_256(number: int) -> str:
    if number < 16:
        return COLOURS[number % 8]
    if number < 232:
        number -= 16
        return _hex((LEVELS[number // 36 % 6], LEVELS[number // 6 % 6], LEVELS[number % 6]))
    grey = min(255, 8 + 10 * (number - 232))
    return _hex((grey, grey, grey))


def _hex(parts: tuple[int, int, int]) -> str:
    red, green, blue = (min(part, 255) / 255 for part in parts)
    colour: Colour = (red, green, blue)
    return css(colour)


def _written(text: str, pen: Pen, sheets: Sheets) -> str:
    if not text:
        return ""
    opening = pen.opening(sheets)
    return f"{opening}{escape(text, quote=False)}{'</span>' if opening else ''}"
