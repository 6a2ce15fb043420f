"""The sources of an answer: file, heading and lines, the quoted text folded below each.

Sources are untrusted: everything is escaped and nothing is fetched. A link leads to the file that
was indexed, where it is still there; JupyterLab opens it at the place by the link's fragment.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gptoss_magic.headings import headings_of
from gptoss_magic.quoting import in_width, printable
from gptoss_magic.widgets.styles import MUTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records import Citation, Passage, Support

QUOTE = (
    "white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0 8px 12px; padding-left: 10px; "
    "border-left: 3px solid var(--jp-border-color1, #8888); "
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
)
WARNING = "color: var(--jp-error-color1, #d03c3c)"
PAGE = re.compile(r"\bpage (\d+)")
SENTENCE = re.compile(r"(?<=[.!?…؟])\s+|(?<=[。！？])|\n+")
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w{3,}")
STEM, EXCERPT = 5, 160  # letters of a word, characters of a line
MARKDOWN = {".md", ".markdown"}
NO_LINES = {".docx", ".pptx", ".xlsx", ".html", ".htm", ".xhtml"}


def sources_html(
    passages: Sequence[Passage], citations: Sequence[Citation] | None = None, query: str = ""
) -> str:
    """A foldable entry for each passage; invented citations below. None: passages alone.

    `query`: what was searched for; of each passage the words around it are seen without unfolding.
    """
    counts, names = _counts(citations), source_names(passages)
    entries = "".join(
        f'<details><summary style="cursor: pointer" title="{escape(passage.source)}">'
        f"{escape(passage_line(passage, names))}{_cited(counts, passage)}"
        f"{_excerpt_html(passage, query) if query else ''}</summary>"
        f'<div style="{QUOTE}">{_open_link(passage)}'
        f'<div dir="auto">{escape(passage.text)}</div></div></details>'
        for passage in passages
    )
    invented = invented_line(citations or ())
    warning = f'<div style="{WARNING}">{escape(invented)}</div>' if invented else ""
    title = f'<div style="{MUTED}">Sources</div>' if passages else ""
    return f'<div class="gptoss-sources" style="margin-top: 8px">{title}{entries}{warning}</div>'


def sources_text(
    passages: Sequence[Passage],
    citations: Sequence[Citation] | None = None,
    support: Sequence[Support] = (),
    *,
    quotes: bool = False,
) -> str:
    """The same in lines of text; with `quotes`, each passage's text below its line."""
    counts, names = _counts(citations), source_names(passages)
    lines = ["Sources:"] if passages else []
    for passage in passages:
        lines.append(f"{passage_line(passage, names)}{_cited(counts, passage)}")
        if quotes:
            lines += [f"    {line}" for line in passage.text.split("\n")]
    lines += [invented_line(citations or ()), *doubt_lines(citations or ())]
    lines += map(support_line, support)
    return "\n".join(filter(None, lines))


def excerpt(text: str, query: str) -> str:
    """The sentence of a text that has most of a query's words, in at most a line."""
    sentences = [" ".join(one.split()) for one in SENTENCE.split(text)]
    wanted = _stems(query)
    best = max(filter(None, sentences), key=lambda one: len(wanted & _stems(one)), default="")
    return in_width(best, EXCERPT)


def _stems(text: str) -> set[str]:
    """How the words of a text begin: enough to know an inflected one again."""
    return {word[:STEM] for word in WORD.findall(text.casefold())}


def _excerpt_html(passage: Passage, query: str) -> str:
    words = escape(excerpt(passage.text, query))
    return f'<span dir="auto" style="display: block; {MUTED}">{words}</span>'


def source_names(passages: Sequence[Passage]) -> dict[str, str]:
    """A name for each source: its file's, with as many folders as tell two of one name apart."""
    parts = {passage.source: _parts(passage.readable_source) for passage in passages}
    names = {}
    for source, own in parts.items():
        others = [other for other in parts.values() if other != own]
        length = 1
        while length < len(own) and any(other[-length:] == own[-length:] for other in others):
            length += 1
        names[source] = "/".join(own[-length:])
    return names


def _parts(source: str) -> list[str]:
    """Of a path or an address; a page of results has none."""
    posix = PurePath(source).as_posix() if source else ""
    return [part for part in posix.split("/") if part] or [source]


def passage_line(passage: Passage, names: Mapping[str, str]) -> str:
    """`[1] guide.md · Title > Section · lines 3–7`; `names` as `source_names` gives them."""
    where = place(passage, passage.first_line, passage.last_line, names[passage.source])
    return f"[{passage.number}] {where}"


def live_sources(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """The passages as a live view shows them: number, lines, place and text."""
    names = source_names(passages)
    return [
        {
            "number": passage.number,
            "first": passage.first_line,
            "last": passage.last_line,
            "place": passage_line(passage, names),
            "text": passage.text,
        }
        for passage in passages
    ]


def place(passage: Passage, first: int, last: int, name: str = "") -> str:
    """`guide.md · Title > Section · lines 3–7`; `name` in place of the file's."""
    name = printable(name or PurePath(passage.readable_source).name)
    lines = f"line {first}" if first == last else f"lines {first}–{last}"
    return " · ".join(filter(None, (name, passage.heading, lines)))


def passage_link(passage: Passage, first: int = 0, last: int = 0) -> str:
    """The passage's place, or that of some of its lines, as a link to the file where it is."""
    shown = escape(place(passage, first or passage.first_line, last or passage.last_line))
    href = file_link(passage, first)
    if not href:
        return f"<strong>{shown}</strong>"
    return f'<a href="{escape(href)}" title="{escape(passage.source)}">{shown}</a>'


def _open_link(passage: Passage) -> str:
    href = file_link(passage)
    title = escape(PurePath(passage.source).name)
    return f'<a href="{escape(href)}">Open {title}</a>\n' if href else ""


def file_link(passage: Passage, line: int = 0) -> str:
    """A path relative to this folder with the place as a fragment; empty where no file is there.

    Fragments are those that JupyterLab understands: a heading in Markdown and notebooks, a page in
    PDF, a line in other texts. Front ends that do not know them open the file.
    """
    path = Path(passage.source)
    if not path.is_absolute() or not path.is_file():
        return ""
    try:
        relative = quote(Path(os.path.relpath(path)).as_posix())
    except ValueError:  # another drive
        return ""
    return f"{relative}{_fragment(passage, path.suffix.lower(), line or passage.first_line)}"


def _fragment(passage: Passage, suffix: str, line: int) -> str:
    page = PAGE.search(passage.heading)
    if suffix == ".pdf":
        return f"#page={page[1]}" if page else ""
    if suffix in MARKDOWN or suffix == ".ipynb":
        title = passage.heading.split(" > ")[-1]
        title = _within(passage, line) or title if suffix in MARKDOWN else title
        return f"#{quote(title.replace(' ', '-'))}" if title else ""
    return "" if suffix in NO_LINES else f"#line={line - 1}"


def _within(passage: Passage, line: int) -> str:
    """The last Markdown heading in a passage at or above a line."""
    above = "\n".join(passage.text.split("\n")[: line - passage.first_line + 1])
    titles = [title for _, _, title in headings_of(above)]
    return titles[-1] if titles else ""


def quote_html(passage: Passage, first: int = 0, last: int = 0) -> str:
    """The passage's lines behind their numbers; those from `first` to `last` stand out."""
    return "\n".join(_numbered(passage, first, last))


def _numbered(passage: Passage, first: int, last: int) -> Iterator[str]:
    for number, line in enumerate(passage.text.split("\n"), passage.first_line):
        shown = f'<span dir="auto">{escape(line)}</span>' if not line.isascii() else escape(line)
        if first <= number <= last:
            shown = f"<strong>{shown}</strong>"
        yield f'<span style="{MUTED}">{number:>4} </span> {shown}'


def invented_line(citations: Sequence[Citation]) -> str:
    """Which citations name nothing that was given; empty where there is none."""
    invented = dict.fromkeys(citation.text for citation in citations if not citation.valid)
    return f"Not among the sources: {', '.join(invented)}" if invented else ""


def doubt_lines(citations: Sequence[Citation]) -> list[str]:
    """Which citations their lines do not bear, and why."""
    return [f"Doubtful: {one.text}: {one.doubt}" for one in citations if one.valid and one.doubt]


def support_line(support: Support) -> str:
    """Where comparing words found a sentence that the model did not cite, in words."""
    text = support.text if len(support.text) <= 60 else support.text[:59] + "…"
    if not support.number:
        return f"Not found in the sources: {text}"
    lines = f"{support.first_line}–{support.last_line}"
    if support.first_line == support.last_line:
        lines = f"{support.first_line}"
    return f"Found by comparing words, not cited by the model: {text} → [{support.number}] L{lines}"


def _counts(citations: Sequence[Citation] | None) -> Counter[int] | None:
    if citations is None:
        return None
    return Counter(citation.number for citation in citations if citation.valid)


def _cited(counts: Counter[int] | None, passage: Passage) -> str:
    return " · cited" if counts is not None and counts[passage.number] else ""
