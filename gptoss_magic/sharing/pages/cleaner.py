"""HTML of others, written anew from an allowlist: nothing of it acts, fetches or reaches out.

What is written is made of allowed tags, quoted attributes and escaped text alone, so that however
a browser reads it, no other element can come of it. What could not stay is counted in `left`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from gptoss_magic.quoting import encodable
from gptoss_magic.sharing.pages.allowlist import (
    ALLOWED,
    BECOMES,
    BLOCKS,
    HTML,
    MATHML,
    NAMED,
    SILENT,
    SVG,
    VOID,
)
from gptoss_magic.sharing.pages.left_out import LeftOut
from gptoss_magic.sharing.pages.markup import RAW, End, Start, Text, tokens
from gptoss_magic.sharing.pages.vetting import Vetting

if TYPE_CHECKING:
    from gptoss_magic.sharing.pages.origin import Origin

MAX_DEPTH = 200  # browsers stop at 512; deeper elements are written without their tags
AS_IT_IS = {"pre", "code", "samp", "kbd", "math", "svg"}  # no maths is looked for in these
NO_MATHS = {"tex2jax_ignore", "mathjax_ignore"}
LISTS = {"ul": ("li",), "ol": ("li",), "dl": ("dt", "dd", "div")}
HOMES = {"li": ("ul", "ol"), "dt": ("dl", "div"), "dd": ("dl", "div"), "summary": ("details",)}
NEED_TEXT = {"a", "th", "h1", "h2", "h3", "h4", "h5", "h6"}
SHOWS = {"img", "svg", "hr", "audio", "video", "math", "input", "meter", "progress"}
ENDS_BEFORE = {  # a start tag ends an open element of these, up to the nearest of the second
    "li": ({"li"}, {"ul", "ol"}),
    "dt": ({"dt", "dd"}, {"dl"}),
    "dd": ({"dt", "dd"}, {"dl"}),
    "tr": ({"tr"}, {"table"}),
    "td": ({"td", "th"}, {"table", "tr"}),
    "th": ({"td", "th"}, {"table", "tr"}),
    "tbody": ({"thead", "tbody", "tfoot"}, {"table"}),
    "thead": ({"thead", "tbody", "tfoot"}, {"table"}),
    "tfoot": ({"thead", "tbody", "tfoot"}, {"table"}),
    "a": ({"a"}, {"table"}),
}


@dataclass
class _Open:
    """An element that is open: where its tag stands in what is written."""

    name: str
    written: str
    at: int
    is_implied: bool = False
    reads: bool = True  # whether maths is looked for within


@dataclass
class Cleaner:
    """One piece of HTML on its way: `clean` does it all."""

    origin: Origin
    left: LeftOut = field(default_factory=LeftOut)
    shows: bool = False
    _out: list[str] = field(default_factory=list)
    _stack: list[_Open] = field(default_factory=list)
    _skipped: list[str] = field(default_factory=list)

    def clean(self, html: str) -> str:
        """The same, as far as it may be; `shows` says whether anything of it can be seen."""
        for token in tokens(encodable(html)):
            if self._skipped:
                self._skip(token)
            elif isinstance(token, Text):
                self._text(token.text)
            elif isinstance(token, Start):
                self._start(token)
            else:
                self._end(BECOMES.get(token.name, token.name))
        self._close_to(0)
        return "".join(self._out)

    def _skip(self, token: Text | Start | End) -> None:
        """Go on to the end of what is left out whole."""
        if isinstance(token, Start) and token.name == self._skipped[-1] and not token.is_closed:
            self._skipped.append(token.name)
        elif isinstance(token, End) and token.name == self._skipped[-1]:
            self._skipped.pop()

    def _text(self, text: str) -> None:
        if text.strip():
            self.shows = True
            self._item("")
        reads = self._stack[-1].reads if self._stack else True
        if self.origin.typeset is not None and reads:
            self._out.append(self.origin.typeset(text))
        else:
            self._out.append(escape(text, quote=False))

    def _start(self, tag: Start) -> None:
        if tag.name in ("style", "script", "link", "meta", "base"):
            self._head(tag)
        elif tag.name in SILENT:
            self._leave_out(tag.name)
            if not tag.is_closed:
                self._skipped.append(tag.name)
        elif tag.name == "title" and not self._within("svg"):
            return  # a document's: it shows nothing
        elif tag.name in RAW and tag.name not in ("title", "xmp"):
            self._leave_out(tag.name)
        else:
            self._element(tag)

    def _head(self, tag: Start) -> None:
        """Styles stay as far as they may; what else stands in a head does not."""
        values = tag.attributes
        if tag.name == "style":
            self.origin.sheets.add(tag.raw or "", self.origin.prefix, self.left)
        elif tag.name == "script":
            is_data = "json" in values.get("type", "")
            self.left.add("block of data" if is_data else "script", values.get("src", ""))
        elif tag.name == "link" and values.get("href"):
            self.left.add("style of the network", values["href"])
        elif tag.name == "meta" and "refresh" in values.get("http-equiv", "").lower():
            self.left.add("redirection", values.get("content", ""))
        elif tag.name == "base":
            self.left.add("base address", values.get("href", ""))

    def _leave_out(self, name: str, detail: str = "") -> None:
        if name in NAMED:
            self.left.add(NAMED[name], detail)

    def _element(self, tag: Start) -> None:
        in_svg = self._within("svg")
        name = tag.name if in_svg else BECOMES.get(tag.name, tag.name)
        is_box = name == "input" and tag.attributes.get("type", "").lower() == "checkbox"
        if name not in ALLOWED or (name == "input" and not is_box):
            self._leave_out(name, tag.attributes.get("src") or tag.attributes.get("data") or "")
            return
        if (name in SVG and name != "svg" and not in_svg and name not in HTML) or (
            name in MATHML and name != "math" and not self._within("math")
        ):
            return  # means nothing where it stands
        self._make_room(name)
        written = self._written(name)
        is_void = name in VOID and not in_svg
        if len(self._stack) >= MAX_DEPTH and not is_void:
            self.left.add("tag of too deep a nesting")
            return
        attributes = Vetting(self.origin, self.left).attributes(name, tag.attributes)
        if attributes is None:
            return
        self.shows = self.shows or name in SHOWS
        self._open(name, written, attributes, is_void=is_void)
        if tag.raw:
            self._text(tag.raw)
        is_over = tag.raw is not None or (tag.is_closed and name in SVG | MATHML)
        if is_over and not is_void:
            self._close_to(len(self._stack) - 1)

    def _open(self, name: str, written: str, attributes: dict[str, str], *, is_void: bool) -> None:
        text = "".join(
            f' {key}="{escape(value)}"' if value else f" {key}" for key, value in attributes.items()
        )
        before = '<div class="gp-wide" tabindex="0" role="group" aria-label="Table">'
        opening = before if name == "table" and not self._within("table") else ""
        self._out.append(f"{opening}<{written}{text}>")
        if is_void:
            return
        outer = self._stack[-1].reads if self._stack else True
        words = set(attributes.get("class", "").split())
        reads = outer and name not in AS_IT_IS and not words & NO_MATHS
        self._stack.append(_Open(name, written, len(self._out) - 1, reads=reads))

    def _end(self, name: str) -> None:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index].name == name and not self._stack[index].is_implied:
                self._close_to(index)
                return
            if self._stack[index].name in ("table", "svg") and name not in ("table", "svg"):
                return  # it would end something around them

    def _close_to(self, depth: int) -> None:
        while len(self._stack) > depth:
            last = self._stack.pop()
            if last.name in NEED_TEXT and not self._has_content(last.at):
                self._make_plain(last)
            wraps = last.name == "table" and not self._within("table")
            self._out.append(f"</{last.written}>{'</div>' if wraps else ''}")

    def _make_plain(self, empty: _Open) -> None:
        """A link, heading or head of a column without a name is none."""
        tag = self._out[empty.at]
        if empty.name == "a":
            self._out[empty.at] = re.sub(r' (href|title)="[^"]*"', "", tag)
            return
        written = "td" if empty.name == "th" else "div"
        tag = tag.replace(f"<{empty.written}", f"<{written}", 1)
        self._out[empty.at] = re.sub(r' scope="[^"]*"', "", tag)
        empty.written = written

    def _has_content(self, at: int) -> bool:
        """Whether it has a name: text, or an image that has one."""
        inner = "".join(self._out[at + 1 :])
        return bool(re.sub(r"<[^>]*>", "", inner).strip() or re.search(r' alt="[^"]', inner))

    def _within(self, name: str) -> bool:
        return any(one.name == name for one in self._stack)

    def _make_room(self, name: str) -> None:
        """End what this start tag ends, and give a list its items."""
        if name in BLOCKS and self._stack and self._stack[-1].name == "p":
            self._close_to(len(self._stack) - 1)
        closes, bounds = ENDS_BEFORE.get(name, (set(), set()))
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index].name in bounds:
                break
            if self._stack[index].name in closes:
                self._close_to(index)
                break
        self._item(name)

    def _item(self, name: str) -> None:
        """Within a list, open an item for what is none; a list's next item ends it."""
        parent = self._stack[-1] if self._stack else None
        if parent is None or parent.name not in LISTS or name in LISTS[parent.name]:
            return
        item = LISTS[parent.name][0] if parent.name != "dl" else "dd"
        self._out.append(f"<{item}>")
        self._stack.append(_Open(item, item, len(self._out) - 1, is_implied=True))

    def _written(self, name: str) -> str:
        """The tag to write: headings in order, an item only where it has a list."""
        if re.fullmatch("h[1-6]", name):
            return f"h{self.origin.headings.next(int(name[1]))}"
        parent = self._stack[-1].name if self._stack else ""
        return "div" if name in HOMES and parent not in HOMES[name] else name
