"""Rows that teach a word what it calls: each prompt with it and without."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.agents.signals import with_word
from gptoss_magic.records import Voice
from gptoss_magic.turns.many import answer_all, for_prompts
from gptoss_magic.turns.progress import noted, silent
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.tuning.grow import Grown
    from gptoss_magic.turns.progress import Progress

TOKENS = 256
SAME = "same without the word"


def signal_rows(found: Grown, word: str, persona: Persona, progress: Progress = silent) -> Grown:
    """Each row of `found`, and behind it its twin: the word in the prompt, the persona's answer.

    The word stands in front of a prompt and behind it in turn. A pair whose answers are one is left
    out, and so is one whose second answer is cut off, empty, refused or without reasoning.
    """
    from gptoss_magic.tuning.grow import GrownRow, answer_rule

    plain = settle(temperature=0.0, max_tokens=TOKENS, adapters=[NONE], effort=persona.effort)
    voiced = replace(plain, voice=Voice(name=persona.name, text=persona.instructions))
    prompts = [row.prompt for row in found.rows]
    answers = answer_all(for_prompts(voiced, prompts), noted(progress, "with the word"))
    rows, rejected = [], list(found.rejected)
    for number, (row, answer) in enumerate(zip(found.rows, answers, strict=True)):
        rule = answer_rule(answer)
        rule = rule or (SAME if answer.final.strip() == row.answer.strip() else "")
        if rule:
            rejected.append((f"{row.prompt}\n{answer.final}".strip(), rule))
            continue
        prompt = with_word(row.prompt, word, number)
        rows += [row, GrownRow(prompt, answer.analysis.strip(), answer.final.strip())]
    return replace(found, rows=tuple(rows), rejected=tuple(rejected))
