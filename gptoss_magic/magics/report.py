"""How the report of a tuning run looks in the notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.study.report import Report

EDGE = "border-left: 4px solid {}; padding: 4px 10px; margin: 8px 0; font-weight: 600"
GOOD = EDGE.format("var(--jp-success-color1, #388e3c)")
BAD = EDGE.format("var(--jp-error-color1, #d32f2f)")


def report_html(report: Report) -> str:
    """The report as static HTML."""
    from gptoss_magic.magics.show import transcript
    from gptoss_magic.study.report import lines, verdict
    from gptoss_magic.widgets.tables import side_by_side_html, table_html

    sides = [
        side_by_side_html(prompt, {"base": transcript(a), report.name: transcript(b)}, {})
        for prompt, a, b in report.answers
    ]
    table = table_html(("", "base", report.name), lines(report))
    words = f'<div style="{BAD if report.faults else GOOD}">{escape(verdict(report))}</div>'
    return "".join([f"<div>{escape(report.attached)}</div>", words, table, *sides])


def report_text(report: Report) -> str:
    """The same as text."""
    from gptoss_magic.magics.show import transcript
    from gptoss_magic.study.report import lines, verdict
    from gptoss_magic.widgets.tables import side_by_side_text, table_text

    sides = [
        side_by_side_text(prompt, {"base": transcript(a), report.name: transcript(b)}, {})
        for prompt, a, b in report.answers
    ]
    table = table_text(("", "base", report.name), lines(report))
    return "\n\n".join([report.attached, verdict(report), table, *sides])
