"""Rows by the resident model itself: self-instruct, and reasoning for rows that have none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.term_search import bearing, quoted
from gptoss_magic.quoting import harmless
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer, Term
    from gptoss_magic.tuning.data import Row
    from gptoss_magic.tuning.grow import Grown
    from gptoss_magic.turns.progress import Progress

ABOUT_TERMS = "Short questions about the terms of a field."


def grown(
    description: str,
    seeds: Sequence[Row],
    num_rows: int,
    progress: Progress,
    *,
    temperature: float = 0.9,
    seed: int = 0,
    terms: Sequence[Term] = (),
) -> Grown:
    """Up to `num_rows` new rows like `seeds`, with the model's own reasoning.

    Prompts are drawn at `temperature`, answers are greedy. An interrupt keeps what there is. With
    `terms` each attempt is about the next of them: it is quoted to the model while it asks and
    answers, and stands in no row; a row that names the term nowhere is left out.
    """
    from gptoss_magic.tuning.grow import grow

    done = [0]

    def ask(text: str, number: int) -> Answer:
        proposing = number % 2 == 0
        heat = temperature if proposing else 0.0
        term = term_at(terms, number // 2)
        told = _about(term, terms, text, proposing) if term else text
        return _asked(told, heat, seed * 100_003 + number)

    def row_rule(prompt: str, answer: str, number: int) -> str:
        term = term_at(terms, number)
        is_named = term is None or bool(bearing([term], f"{prompt}\n{answer}"))
        return "" if is_named else "without the term"

    def told(_row: Any) -> None:
        done[0] += 1
        progress(done[0], num_rows, "")

    pairs = [(row.prompt, row.messages[-1].content) for row in seeds]
    about = description if description.strip() or not terms else ABOUT_TERMS
    return grow(about, pairs, num_rows, ask, on_row=told, row_rule=row_rule)


def term_at(terms: Sequence[Term], attempt: int) -> Term | None:
    """The term that an attempt is about: each in turn; None without terms."""
    return terms[attempt % len(terms)] if terms else None


def _about(term: Term, terms: Sequence[Term], text: str, proposing: bool) -> str:
    """A proposal or a question beside the term that it is about."""
    wish = f"\n\nThe new prompt is about the term {harmless(term.name)}." if proposing else ""
    return f"{quoted([term], terms)}\n\n{text}{wish}"


def _asked(text: str, temperature: float, seed: int) -> Answer:
    from gptoss_magic.turns import generate

    return generate(text, temperature=temperature, seed=seed % 2**31, max_tokens=256)


def with_analysis(rows: Sequence[Row], progress: Progress) -> list[Row]:
    """The rows; those without reasoning get the model's own for their last prompt.

    Where the model gives none, or does not come to an end of it, the row stays as it is.
    """
    from gptoss_magic.turns.many import answer_all
    from gptoss_magic.turns.progress import noted
    from gptoss_magic.turns.settle import settle

    bare = [n for n, row in enumerate(rows) if not row.has_analysis]
    talks = [rows[n].messages[: -len(rows[n].last_turn)] for n in bare]
    plain = settle(temperature=0.0, max_tokens=256, adapters=[NONE])
    asked = [replace(plain, messages=tuple(talk)) for talk in talks]
    answers = answer_all(asked, noted(progress, "reasoning"))
    found = list(rows)
    for n, answer in zip(bare, answers, strict=True):
        if answer.analysis.strip() and answer.finish != "length":
            found[n] = rows[n].with_thought(answer.analysis.strip())
    return found
