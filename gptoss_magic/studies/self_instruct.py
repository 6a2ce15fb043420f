"""Rows by the resident model itself: self-instruct, and reasoning for rows that have none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer
    from gptoss_magic.tuning.data import Row
    from gptoss_magic.tuning.grow import Grown
    from gptoss_magic.turns.progress import Progress


def grown(
    description: str,
    seeds: Sequence[Row],
    num_rows: int,
    progress: Progress,
    *,
    temperature: float = 0.9,
    seed: int = 0,
) -> Grown:
    """Up to `num_rows` new rows like `seeds`, with the model's own reasoning.

    Prompts are drawn at `temperature`, answers are greedy. An interrupt keeps what there is.
    """
    from gptoss_magic.tuning.grow import grow

    done = [0]

    def ask(text: str, number: int) -> Answer:
        proposing = number % 2 == 0
        return _asked(text, temperature if proposing else 0.0, seed * 100_003 + number)

    def told(_row: Any) -> None:
        done[0] += 1
        progress(done[0], num_rows, "")

    pairs = [(row.prompt, row.messages[-1].content) for row in seeds]
    return grow(description, pairs, num_rows, ask, on_row=told)


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
