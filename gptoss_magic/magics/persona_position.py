"""`%gptoss persona questions` and `holds`: a position as a suite, drafted, reviewed and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import NewLines
from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records.positions import PositionItem, PositionScore

HEADERS = ("rule", "asked as", "question", "by")


def questions(options: Namespace, magics: Any) -> None:
    """Questions of templates and drafts of the model into a new file, shown for review."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.studies.position_items import template_items

    persona = positioned(options.name)
    rules = persona.position.all_rules
    with NewLines(Path(options.file).expanduser()) as file:
        items = template_items(rules)
        drafts, left_out = _drafts(options, persona, magics) if options.drafts else ([], [])
        items += drafts
        for item in items:
            file.add(json.dumps(item.record(), ensure_ascii=False))
    show_table(HEADERS, [(one.rule.text, one.how, one.question, one.source) for one in items])
    if left_out:
        show_table(("left out", "why"), left_out)
    print(
        f"{counted(len(items), 'question')} in {options.file}: read and change them, then "
        f"%gptoss persona holds {options.name} -f {options.file}"
    )


def holds(options: Namespace, magics: Any) -> None:
    """Ask, judge, show a table by rule and the answers, and keep the PositionScore."""
    from IPython.display import display

    from gptoss_magic.studies.position import hold_position
    from gptoss_magic.widgets.progress import ProgressView

    persona = positioned(options.name)
    items = items_of(options, persona)
    magics.load_default()
    with ProgressView(persona.name, lambda done, total: f"{done} of {total}") as bar:
        found = hold_position(
            persona,
            items,
            adapter=options.adapter or "",
            max_tokens=options.max_tokens,
            date=magics.date,
            progress=bar.update,
        )
        bar.finish(
            f"{persona.name}: {counted(len(items), 'question')}, "
            f"{counted(len(found.verdicts), 'answer')}"
        )
    display({"text/html": score_html(found), "text/plain": score_text(found)}, raw=True)
    if options.output:
        magics.shell.user_ns[options.output] = found


def positioned(name: str) -> Persona:
    """The persona with what it extends. Raises InputError for one without a position."""
    from gptoss_magic.turns.names import persona_named

    persona = persona_named(name)
    if not persona.position.all_rules:
        raise InputError(
            f"persona {name}: no position to ask about; write position: with values, rules or never"
        )
    return persona


def items_of(options: Namespace, persona: Persona) -> list[PositionItem]:
    """The questions of the reviewed file, else those of templates."""
    from gptoss_magic.studies.position_items import read_items, template_items

    rules = persona.position.all_rules
    return read_items(options.prompts, rules) if options.prompts else template_items(rules)


def score_rows(found: PositionScore) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headers, rows): a rule a row, an arm a column, all rules below."""
    rows = [
        (rule.id, rule.text, *(_words(found.counts(arm, rule.id)) for arm in found.arms))
        for rule in found.rules
    ]
    whole = ("all", "", *(_words(found.counts(arm)) for arm in found.arms))
    return ("", "rule", *found.arms), [*rows, whole]


def answer_rows(found: PositionScore) -> list[tuple[str, ...]]:
    """Every answer, broken rules first."""
    order = {"break": 0, "unclear": 1, "cut": 2, "keep": 3}
    listed = sorted(found.verdicts, key=lambda one: order[one.verdict])
    return [
        (
            one.verdict,
            one.arm,
            one.item.rule.id,
            one.item.how,
            one.item.question,
            one.answer,
            one.reason,
        )
        for one in listed
    ]


ANSWER_HEADERS = ("verdict", "arm", "rule", "asked as", "question", "answer", "the judge's reason")
GOOD_JUDGE = 0.8  # of planted answers


def score_html(found: PositionScore) -> str:
    """The table by rule, and the answers folded."""
    from gptoss_magic.widgets.tables import table_html

    rows = answer_rows(found)
    return (
        f"{table_html(*score_rows(found), caption(found))}<details><summary>"
        f"{counted(len(rows), 'answer')}</summary>{table_html(ANSWER_HEADERS, rows)}</details>"
    )


def score_text(found: PositionScore) -> str:
    """The same as text."""
    from gptoss_magic.widgets.tables import table_text

    tables = (table_text(*score_rows(found)), table_text(ANSWER_HEADERS, answer_rows(found)))
    return "\n\n".join([caption(found), *tables])


def caption(found: PositionScore) -> str:
    """Who was asked, and who judged."""
    adapter = f", with adapter {found.adapter}, with both" if found.adapter else ""
    return (
        f"How many answers keep the position of {found.persona}: bare, with its text{adapter}. "
        f"Judged by the resident model itself, bare; {judge_words(found)}"
    )


def judge_words(found: PositionScore) -> str:
    """How good the judge was on answers whose verdict is known."""
    right, asked = found.judge_right, found.judge_asked
    said = f"of {asked} planted answers it judged {right} right"
    if right < GOOD_JUDGE * asked:
        return f"{said}: do not trust its verdicts, read the answers."
    return f"{said}. Read the answers."


def _words(counts: dict[str, int]) -> str:
    """`5 of 6; 1 unclear`: kept of all, and what else there was."""
    total = sum(counts.values())
    rest = [f"{n} {name}" for name, n in counts.items() if n and name in ("unclear", "cut")]
    return "; ".join([f"{counts['keep']} of {total}", *rest])


def _drafts(
    options: Namespace, persona: Persona, magics: Any
) -> tuple[list[PositionItem], list[tuple[str, str]]]:
    from gptoss_magic.studies.position_items import drafted_items
    from gptoss_magic.widgets.progress import ProgressView

    magics.load_default()
    with ProgressView("questions", lambda done, total: f"{done} of {total}") as bar:
        found = drafted_items(
            persona.position.all_rules, options.drafts, seed=options.seed, progress=bar.update
        )
        bar.finish(f"{counted(len(found[0]), 'question')} drafted, {len(found[1])} left out")
    return found
