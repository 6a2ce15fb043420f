"""An evaluation as static HTML and text: its plan, scores, comparisons, shared texts."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from gptoss_magic.vocabulary import counted
from gptoss_magic.widgets.flips import flips_html, flips_text
from gptoss_magic.widgets.score_chart import score_chart_html
from gptoss_magic.widgets.styles import MUTED
from gptoss_magic.widgets.tables import table_html, table_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gptoss_magic.records.evaluations import (
        ArmComparison,
        ArmScore,
        Evaluated,
        EvaluationPlan,
        SharedText,
    )

    Table = tuple[list[str], list[list[str]], str]

MOST_SHARED = 20
MINUTE = 60.0
A_TENTH = 0.1  # of the items: more have to differ for such a difference


def _seen_from(least: float) -> str:
    """What the plan says of the smallest difference; see `statistics.smallest_difference`."""
    if least > 1:
        return "nowhere: so few items show no difference (80 % power); give more"
    if least > A_TENTH:
        return f"from about {100 * least:.0f} points on (80 % power, all that differ one way)"
    return (
        f"from about {100 * least:.1f} points on (80 % power, a tenth of the items differs; 1.4 "
        "times as many points where a fifth does)"
    )


def plan_lines(plan: EvaluationPlan) -> list[str]:
    """What is to be answered, a line each, before anything is."""
    tries = f", {counted(plan.tries, 'try')} each" if plan.tries > 1 else ""
    kept = f"; {plan.kept:,} are kept from before (--new asks them again)" if plan.kept else ""
    lines = [
        f"{suite.name}: {counted(suite.num_items, 'item')} of {suite.source}, at most "
        f"{suite.max_tokens:,} tokens an answer, graded by {suite.graded_by}; two arms "
        f"are seen to differ {_seen_from(suite.smallest)}"
        for suite in plan.suites
    ]
    lines += [f"{suite.name}: left out: {why}" for suite in plan.suites for why in suite.left_out]
    arms = f"{counted(len(plan.arms), 'arm')} ({', '.join(plan.arms)})"
    time = "" if plan.seconds is None else f", about {_duration(plan.seconds)} of decoding"
    lines.append(
        f"{counted(plan.num_answers, 'answer')} by {arms}{tries}{kept}: at most "
        f"{counted(plan.num_tokens, 'token')}"
        f"{time}; temperature {plan.temperature:g}, seed {plan.seed}, date {plan.date}"
    )
    return lines


def plan_html(plan: EvaluationPlan) -> str:
    """The same as HTML."""
    lines = "".join(f"<div>{escape(line)}</div>" for line in plan_lines(plan))
    return f'<div class="gptoss-evaluation-plan" style="{MUTED}">{lines}</div>'


def scores_table(scores: Sequence[ArmScore], caption: str = "") -> Table:
    """A row for each suite and arm."""
    has_tries = any(one.some_right for one in scores)
    headers = ["suite", "arm", "right", "95 %", "wrong", "cut", "answers", "tokens"]
    headers += ["pass@k", "pass^k"] if has_tries else []
    rows = [
        [
            one.suite,
            one.arm,
            f"{one.score:.1%}",
            f"{100 * one.low:.1f} to {100 * one.high:.1f}",
            f"{one.wrong:.1%}",
            f"{one.cut:.1%}",
            f"{one.num_answers:,}",
            f"{one.tokens:,.0f}",
            *(_chances(one) if has_tries else []),
        ]
        for one in scores
    ]
    return headers, rows, caption


def comparisons_table(comparisons: Sequence[ArmComparison], caption: str = "") -> Table:
    """A row for each arm against the first; why there is none where it was refused."""
    headers = ["suite", "arm", "against", "points", "95 %", "better", "worse", "p", "p, Holm"]
    headers += ["by"]
    rows = [
        [
            one.suite,
            one.arm,
            one.base,
            _points(one.difference),
            f"{_points(one.low)} to {_points(one.high)}" if one.low is not None else "",
            str(one.better),
            str(one.worse),
            _p(one.p),
            _p(one.p_all),
            one.refused or f"{one.test}, {counted(one.num_items, 'item')}",
        ]
        for one in comparisons
    ]
    return headers, rows, caption


def shared_table(shared: Sequence[SharedText]) -> Table:
    """Items that stand in tuning rows."""
    rows = [[one.suite, one.item, one.row, one.how] for one in shared[:MOST_SHARED]]
    more = len(shared) - len(rows)
    if more:
        rows.append([f"… {more} more", "", "", ""])
    caption = f"Items that share text with tuning rows: {len(shared)}."
    return ["suite", "item", "row", "shares"], rows, caption


def _tables(made: Evaluated) -> list[Table]:
    interim = "" if made.finish == "return" else "Interim: interrupted, not all is answered. "
    tables = [scores_table(made.scores, interim)] if made.scores else []
    if made.comparisons:
        caption = f"{interim}Paired over the same items and seeds."
        tables.append(comparisons_table(made.comparisons, caption))
    if made.shared:
        tables.append(shared_table(made.shared))
        tables.append(scores_table(made.apart, "Without the items that stand in tuning rows."))
    return tables


def evaluation_html(made: Evaluated) -> str:
    """Tables, a picture for each suite with several arms, and the flips."""
    tables = "".join(table_html(*table) for table in _tables(made))
    return tables + "".join(_pictures(made.scores)) + flips_html(made.flips())


def evaluation_text(made: Evaluated) -> str:
    """The same as text, without the pictures."""
    tables = [
        "\n".join(filter(None, (caption, table_text(headers, rows))))
        for headers, rows, caption in _tables(made)
    ]
    return "\n\n".join(filter(None, [*tables, flips_text(made.flips())])) or "nothing was answered"


def _pictures(scores: Sequence[ArmScore]) -> Iterable[str]:
    for suite, group in groupby(scores, key=lambda one: one.suite):
        yield score_chart_html(suite, list(group))


def _chances(one: ArmScore) -> list[str]:
    k = len(one.some_right)
    if not k:
        return ["", ""]
    return [f"{one.some_right[-1]:.1%} of {k}", f"{one.all_right[-1]:.1%} of {k}"]


def _points(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.1f}".replace("-", "−")


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"  # noqa: PLR2004 (digits that say enough)


def _duration(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 100 * MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / MINUTE / 60:.1f} h"
