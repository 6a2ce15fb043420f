"""The texts of a run: rows as tokens, earlier runs' texts and the model's own answers mixed in."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import Example
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.tuning.data import Row
    from gptoss_magic.tuning.runs import Run
    from gptoss_magic.turns.progress import Progress

OWN_TOKENS = 256
SHOWN = 3  # prompts that are answered before and after


@dataclass(frozen=True)
class Texts:
    """`steps` of sequences of examples, `held_out` sequences; `about` in figures.

    `prompts`: token ids to answer before and after. `base`: the runs that this one follows.
    """

    steps: list[list[list[Example]]]
    held_out: list[list[Example]]
    about: dict[str, int]
    prompts: list[list[int]] = field(default_factory=list)
    base: tuple[str, ...] = ()


def texts_of(wanted: Wanted, engine: Any, progress: Progress) -> Texts:
    """Encode, hold some rows back, mix in what is asked for, and pack. Raises InputError."""
    from gptoss_magic.tuning.data import encode_all, pack_steps, split

    train, rows = wanted.train, wanted.rows
    numbered = [(row.number or n, row) for n, row in enumerate(rows, 1)]
    kept, held = split(numbered, train.held_out, train.seed)
    cut: list[int] = []

    def encoded(part: Sequence[tuple[int, Row]]) -> list[Example]:
        names, chosen = [n for n, _ in part], [row for _, row in part]
        how: dict[str, Any] = {"truncate": wanted.truncate, "numbers": names}
        return encode_all(chosen, engine.codec, train.max_tokens, on_cut=cut.append, **how)

    examples, held_out = encoded(kept), encoded(held) if held else []
    extra, base = _replayed(wanted, len(examples))
    own = own_answers(wanted.own, progress)
    steps = pack_steps([*examples, *extra, *own], train)
    sequences = [[example] for example in held_out]
    about = {
        "rows": len(kept),
        "held out": len(held),
        "replayed": len(extra),
        "own answers": len(own),
        **_token_figures([*examples, *extra, *own]),
        "without reasoning": sum(not row.has_analysis for _, row in kept),
        "longest": max(len(e.ids) for e in [*examples, *held_out]),
        "steps": len(steps),
        "duplicates": len(rows) - len(set(rows)),
        "cut": len(cut),
        **(wanted.reading.figures() if wanted.reading else {}),
    }
    return Texts(steps, sequences, about, prompts_of(sequences or steps[0], engine), base)


def _token_figures(examples: Sequence[Example]) -> dict[str, int]:
    trained = sum(sum(example.trained) for example in examples)
    return {"tokens": sum(len(example.ids) for example in examples), "trained tokens": trained}


def prompts_of(sequences: Sequence[Sequence[Example]], engine: Any) -> list[list[int]]:
    """What stands before the last answer of the first few examples, as the model is prompted."""
    found = []
    for example in [e for sequence in sequences for e in sequence][:SHOWN]:
        start = engine.codec.special["start"]
        ends = [i for i, token in enumerate(example.ids) if token == start]
        turn = _last_turn(example, ends)
        header = engine.codec.encode("assistant")
        found.append([*example.ids[: turn + 1], *header])
    return found


def _last_turn(example: Example, starts: Sequence[int]) -> int:
    """Where the last run of trained messages begins: the `<|start|>` before it."""
    first = len(example.ids) - 1
    is_found = False
    for begin, end in zip(reversed(starts), reversed([*starts[1:], len(example.ids)]), strict=True):
        is_trained = any(example.trained[begin:end])
        if is_found and not is_trained:
            break
        if is_trained:
            first, is_found = begin, True
    return first


def own_answers(count: int, progress: Progress) -> list[Example]:
    """The base model's own reasoning and answers to shipped prompts, as training texts."""
    from gptoss_magic.routing.baseline import conversations
    from gptoss_magic.turns.many import answer_all
    from gptoss_magic.turns.progress import noted
    from gptoss_magic.turns.settle import settle

    if not count:
        return []
    questions = [(talk[0], talk[1]) for talk in conversations()]
    if count > len(questions):
        raise InputError(f"{count} own answers: there are prompts for {len(questions)}")
    plain = settle(temperature=0.0, max_tokens=OWN_TOKENS, adapters=[NONE])
    asked = [replace(plain, messages=talk) for talk in questions[:count]]
    answers = answer_all(asked, noted(progress, "own answers"))
    whole = [answer for answer in answers if answer.finish == "return"]
    return [_learned(answer.provenance["prompt_tokens"], answer.raw_tokens) for answer in whole]


def _learned(prompt: Sequence[int], answer: Sequence[int]) -> Example:
    trained = (False,) * len(prompt) + (True,) * len(answer)
    return Example((*prompt, *answer), trained)


def _replayed(wanted: Wanted, count: int) -> tuple[list[Example], tuple[str, ...]]:
    """Earlier runs' texts, `replay` of them for each new one; and the runs' names."""
    from gptoss_magic.tuning.runs import checked_name, read_data, read_run

    if not wanted.after:
        return [], ()
    run: Run = read_run(wanted.folder / checked_name(wanted.after))
    names = (*run.base, run.name)
    earlier: dict[tuple[int, ...], Example] = {}
    for name in names:
        steps, _ = read_data(read_run(wanted.folder / name))
        earlier |= {e.ids: e for step in steps for sequence in step for e in sequence}
    draw = random.Random(wanted.train.seed)  # noqa: S311 (a choice to repeat, not a secret)
    chosen = draw.sample(list(earlier.values()), min(len(earlier), round(wanted.replay * count)))
    return chosen, names


def asked(ids: Sequence[int], codec: Any) -> str:
    """The user's last message in a prompt's token ids."""
    from gptoss_magic.harmony.channels import channels_of

    said: list[list[int]] = [[]]
    for token, place in zip(ids, channels_of(ids, codec), strict=True):
        if place == "user":
            said[-1].append(token)
        elif said[-1]:
            said.append([])
    return str(codec.decode(next((part for part in reversed(said) if part), [])))
