"""How the report of a tuning run looks in the notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.runs.report import Report

STRONG = "font-weight: 600; margin: 8px 0"


def report_html(report: Report) -> str:
    """The report as static HTML."""
    from gptoss_magic.magics.show import transcript
    from gptoss_magic.runs.report import lines, verdict
    from gptoss_magic.widgets.tables import side_by_side_html, table_html

    sides = [
        side_by_side_html(prompt, {"base": transcript(a), report.name: transcript(b)}, {})
        for prompt, a, b in report.answers
    ]
    table = table_html(("", "base", report.name), lines(report))
    parts = [
        f'<div style="white-space: pre-line">{escape(report.attached)}</div>',
        f'<div style="{STRONG}">{escape(verdict(report))}</div>',
        table,
        *sides,
    ]
    return "".join(parts)


def report_text(report: Report) -> str:
    """The same as text."""
    from gptoss_magic.magics.show import transcript
    from gptoss_magic.runs.report import lines, verdict
    from gptoss_magic.widgets.tables import side_by_side_text, table_text

    sides = [
        side_by_side_text(prompt, {"base": transcript(a), report.name: transcript(b)}, {})
        for prompt, a, b in report.answers
    ]
    table = table_text(("", "base", report.name), lines(report))
    return "\n\n".join([report.attached, verdict(report), table, *sides])
