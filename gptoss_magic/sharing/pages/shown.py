"""One output of a cell as HTML: the best of its forms that a page can show without a program."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import encodable, one_line
from gptoss_magic.sharing.notebooks import MIME
from gptoss_magic.sharing.pages import pictures
from gptoss_magic.sharing.pages.ansi import ansi_html
from gptoss_magic.sharing.pages.cleaner import Cleaner
from gptoss_magic.sharing.pages.left_out import LeftOut
from gptoss_magic.sharing.pages.listing import listing
from gptoss_magic.sharing.pages.maths import as_written, typeset
from gptoss_magic.sharing.pages.origin import Headings, Origin
from gptoss_magic.sharing.pages.prose import markdown_html

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.sharing.pages.sheets import Sheets

LIVE = "application/vnd.jupyter.widget-view+json"
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp")
SHOWN = {"text/html", "text/markdown", "text/latex", "text/plain", "image/svg+xml", *IMAGES}
MAX_TEXT_CHARS, MAX_HTML_CHARS = 1_000_000, 8_000_000
MANY_LINES, WIDE_CHARS = 120, 200  # more are folded; a long line counts as several


@dataclass
class OutputBundle:
    """The forms of one output (MIME type: value), and where it stands on the page."""

    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    prefix: str
    sheets: Sheets
    headings: Headings
    left: LeftOut = field(default_factory=LeftOut)

    def html(self) -> str:
        """The best form; `left` counts what it lacks."""
        self._name_the_rest()
        for kind, form in FORMS:
            text = text_of(self.data.get(kind))
            shown = form(self, kind, text) if text is not None and text.strip() else ""
            if shown:
                return shown
        return ""

    def _name_the_rest(self) -> None:
        """Forms that need a program, such as live views and interactive plots."""
        for kind in self.data:
            if kind == LIVE and "text/html" not in self.data:
                self.left.add("live view")
            elif "javascript" in kind:
                self.left.add("script")
            elif kind not in SHOWN | {MIME, LIVE, "application/json"}:
                self.left.add("other form", kind)

    def _cleaned(self, html: str, *, maths: bool = True) -> str:
        origin = Origin(self.prefix, self.sheets, self.headings, typeset=typeset if maths else None)
        cleaner = Cleaner(origin, self.left)
        cleaned = cleaner.clean(html)
        return f'<div class="gp-rich">{cleaned}</div>' if cleaner.shows else ""

    def _html(self, _kind: str, text: str) -> str:
        if len(text) > MAX_HTML_CHARS:
            self.left.add("long table or page", f"{len(text):,} characters of HTML")
            return ""
        return self._cleaned(text)

    def _markdown(self, _kind: str, text: str) -> str:
        return self._cleaned(markdown_html(self._cut(text)))

    def _latex(self, _kind: str, text: str) -> str:
        html = typeset(self._cut(text))
        return self._cleaned(f"<p>{html}</p>", maths=False) if "<math" in html else ""

    def _latex_as_text(self, _kind: str, text: str) -> str:
        return f"<p>{as_written(self._cut(text))}</p>"

    def _svg(self, kind: str, text: str) -> str:
        return self._image(kind, pictures.of_svg(text))

    def _bitmap(self, kind: str, text: str) -> str:
        return self._image(kind, pictures.of_base64(text))

    def _image(self, kind: str, address: str) -> str:
        if not address:
            self.left.add("damaged image", kind)
            return ""
        own = self.metadata.get(kind)
        own = own if isinstance(own, dict) else {}
        alt = own.get("alt") or one_line(text_of(self.data.get("text/plain")) or "", 200) or "image"
        size = "".join(
            f' {side}="{own[side]}"'
            for side in ("width", "height")
            if isinstance(own.get(side), int)
        )
        dark = " gp-on-dark" if self.metadata.get("needs_background") == "dark" else ""
        return f'<img class="gp-image{dark}" src="{address}" alt="{escape(str(alt))}"{size}>'

    def _json(self, _kind: str, text: str) -> str:
        return folded(listing(self._cut(text), "json"), text.count("\n") + 1)

    def _plain(self, _kind: str, text: str) -> str:
        return terminal_html(self._cut(text), self.sheets)

    def _cut(self, text: str) -> str:
        return cut(text, self.left)


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


FORMS: list[tuple[str, Callable[[OutputBundle, str, str], str]]] = [
    ("text/html", OutputBundle._html),  # noqa: SLF001
    ("text/markdown", OutputBundle._markdown),  # noqa: SLF001
    ("text/latex", OutputBundle._latex),  # noqa: SLF001
    ("image/svg+xml", OutputBundle._svg),  # noqa: SLF001
    *((kind, OutputBundle._bitmap) for kind in IMAGES),  # noqa: SLF001
    ("text/latex", OutputBundle._latex_as_text),  # noqa: SLF001
    ("application/json", OutputBundle._json),  # noqa: SLF001
    ("text/plain", OutputBundle._plain),  # noqa: SLF001
]


def text_of(value: Any) -> str | None:
    """A text of nbformat, which may be a list of lines; JSON values as JSON; None for none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return _json_text(value)


def terminal_html(text: str, sheets: Sheets, kind: str = "text") -> str:
    """A terminal's text, folded where it is long."""
    html = ansi_html(text, sheets)
    num_lines = max(html.count("\n") + 1, len(html) // WIDE_CHARS)
    return folded(f'<pre class="gp-{kind}">{html}</pre>', num_lines)


def folded(html: str, num_lines: int) -> str:
    """Behind a summary where there are many lines."""
    if num_lines <= MANY_LINES:
        return html
    return f"<details><summary>{num_lines:,} lines</summary>{html}</details>"


def cut(text: str, left: LeftOut) -> str:
    """The text, or its beginning where it is very long: `left` says how much is missing."""
    text = encodable(text)
    if len(text) <= MAX_TEXT_CHARS:
        return text
    missing = len(text) - MAX_TEXT_CHARS
    left.add("end of a long text", f"{missing:,} characters more")
    return f"{text[:MAX_TEXT_CHARS]}\n… {missing:,} characters more"
