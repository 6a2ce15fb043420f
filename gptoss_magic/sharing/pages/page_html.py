"""A notebook (nbformat's JSON) as the text of its page."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from html import unescape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import encodable, one_line
from gptoss_magic.sharing.notebooks import cells_of, member
from gptoss_magic.sharing.page_records import block_of
from gptoss_magic.sharing.pages.cells import CellWriter, title_of
from gptoss_magic.sharing.pages.left_out import LeftOut
from gptoss_magic.sharing.pages.shown import text_of
from gptoss_magic.sharing.records import records_of
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jinja2 import Template

    from gptoss_magic.sharing.records import RecordedAnswer

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect width="16" height="16" rx="3" fill="#6b3fa0"/>'
    '<path d="M4 5h8M4 8h8M4 11h5" stroke="#fff" stroke-width="1.6"/></svg>'
)
ICON_ADDRESS = f"data:image/svg+xml;base64,{base64.b64encode(ICON.encode()).decode()}"
SCRIPTS = {  # ranges of letters that few languages of the web write in, and the commonest of them
    "uk": "іїєґ",
    "ru": "а-яё",
    "el": "α-ω",
    "he": "א-ת",
    "ar": "ء-ي",
    "ko": "가-힣",
    "ja": "ぁ-ヿ",
    "zh": "一-鿿",
}


@dataclass(frozen=True)
class PageText:
    """A page's HTML, how many records it has, and what it does not have."""

    html: str
    num_cells: int
    num_records: int
    left: LeftOut


def page_text(notebook: dict[str, Any], name: str, file: str, folder: Path | None) -> PageText:
    """The page of a notebook called `name`, to lie in `file`.

    `folder`: where the images of its Markdown may lie; None: nowhere.
    """
    cells = cells_of(notebook)
    writer = CellWriter(language=_language(notebook), folder=folder)
    title, rest = title_of(cells)
    title_html = writer.title_html(title or name.removesuffix(".ipynb"))
    written = [text for i, cell in enumerate(rest) if (text := writer.cell(i, cell))]
    records = list(records_of({**notebook, "cells": cells}))
    num_records = sum(not record.fault for record in records)
    styles = files(__package__).joinpath("page.css").read_text("utf-8") + writer.sheets.css()
    html = _template().render(
        policy=_safe(_policy(styles)),
        title=one_line(unescape(re.sub("<[^>]*>", "", title_html))) or name,
        icon=ICON_ADDRESS,
        styles=_safe(styles),
        title_html=_safe(title_html),
        lang=language_of(cells),
        facts=list(_facts(name, cells, records)),
        num_records=num_records,
        answers=counted(num_records, "answer"),
        file=_quoted(file),
        cells=[_safe(text) for text in written],
        source=one_line(name),
        left=str(_counts(writer.left)),
        records=_safe(block_of(notebook, name)),
    )
    return PageText(encodable(html), len(cells), num_records, writer.left)


def language_of(cells: Sequence[Any]) -> str:
    """The language that the prose is likely to be in, by its letters; '' for Latin ones."""
    texts = (
        text_of(cell.get("source")) or ""
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown"
    )
    prose = "".join(texts).lower()
    num_letters = sum(map(str.isalpha, prose))
    shares = {
        code: len(re.findall(f"[{letters}]", prose)) / max(1, num_letters)
        for code, letters in SCRIPTS.items()
    }
    if shares["uk"] > 0.02:
        return "uk"
    code = max(shares, key=lambda code: shares[code])
    return code if shares[code] > 0.3 else ""


def _facts(
    name: str, cells: Sequence[Any], records: Sequence[RecordedAnswer]
) -> Iterator[tuple[str, str]]:
    """What stands below the title."""
    yield "Notebook", one_line(name)
    if models := _names(record.about.get("model") for record in records):
        yield "Models", models
    adapters = (one.get("name") for record in records for one in record.about["adapters"])
    if named := _names(adapters):
        yield "Adapters", named
    if times := _times(cells):
        yield "Run", _span(times[0], times[-1])
    yield "Page made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _names(values: Any) -> str:
    """Distinct names in the order in which they come."""
    return ", ".join(dict.fromkeys(one_line(v, 80) for v in values if isinstance(v, str) and v))


def _times(cells: Sequence[Any]) -> list[datetime]:
    """When cells were run, where a front end kept that, in order."""
    times = []
    for cell in cells:
        for value in member(member(cell, "metadata"), "execution").values():
            try:
                time = datetime.fromisoformat(str(value))
            except ValueError:
                continue
            times.append(time if time.tzinfo else time.replace(tzinfo=UTC))
    return sorted(time.astimezone(UTC) for time in times)


def _span(first: datetime, last: datetime) -> str:
    same_day = first.date() == last.date()
    start, end = f"{first:%Y-%m-%d %H:%M}", f"{last:{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}}"
    return f"{start} UTC" if start.endswith(end) else f"{start} – {end} UTC"


def _counts(left: LeftOut) -> LeftOut:
    return LeftOut(Counter(left.counts))


def _language(notebook: dict[str, Any]) -> str:
    """Pygments' name for the language of its code."""
    metadata = member(notebook, "metadata")
    for key, name in (("language_info", "pygments_lexer"), ("language_info", "name"),
                      ("kernelspec", "language")):  # fmt: skip
        value = member(metadata, key).get(name)
        if isinstance(value, str) and value:
            return "ipython3" if value == "python" else value
    return "ipython3"


def _quoted(file: str) -> str:
    """A file's name as the magic's line takes it."""
    import shlex

    return shlex.quote(one_line(file))


def _policy(styles: str) -> str:
    """Nothing is fetched or run; the one style sheet is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _safe(html: str) -> Any:
    """Text of ours or of a cleaner, that the template takes as it is."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704


@cache
def _template() -> Template:
    from jinja2 import Environment

    environment = Environment(autoescape=True)
    return environment.from_string(files(__package__).joinpath("page.html.j2").read_text("utf-8"))
