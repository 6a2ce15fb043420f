"""Rows that are asked and rows that are learned from: split once, no prompt on both sides."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Message
    from gptoss_magic.tuning.data import Row

LEAST = 4  # rows on either side
SHARE, MOST = 1 / 3, 50  # held out where nobody says how many
OPENING = ("system", "developer")
INSTRUCTIONS, TOOLS = "# Instructions\n\n", "# Tools"


@dataclass(frozen=True)
class HeldRow:
    """A row that is asked; `answers`: its own, and those of rows that ask the same."""

    row: Row
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """`train` to learn from, `held` to ask; `notes`: what became of the others, a line each."""

    train: tuple[Row, ...]
    held: tuple[HeldRow, ...]
    notes: tuple[str, ...] = ()


def split_rows(rows: Sequence[Row], num_held: int | None, seed: int) -> Split:
    """Split by prompts: rows that ask the same stay on one side, and are asked once.

    Rows with tools, or without a final answer, are learned from only. `num_held` None: a third,
    50 at most. Raises InputError for too few rows.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_asked(row), []).append(row)
    known = list(groups.values())
    fit = [group for group in known if all(map(can_be_asked, group))]
    wanted = _wanted(len(known), len(fit), num_held)
    order = list(fit)
    random.Random(f"{seed} held out").shuffle(order)  # noqa: S311 (to repeat, no secret)
    chosen = {id(group) for group in order[:wanted]}
    held = [group for group in known if id(group) in chosen]
    train = [row for group in known if id(group) not in chosen for row in group]
    return Split(tuple(train), tuple(map(_held, held)), tuple(_notes(known, fit, held)))


def can_be_asked(row: Row) -> bool:
    """True for a row that ends in a final answer, and has no tools."""
    last = row.messages[-1]
    calls = any(one.role == "tool" or one.recipient not in (None, "all") for one in row.messages)
    has_tools = any(TOOLS in one.content for one in row.messages if one.role == "developer")
    is_final = last.role == "assistant" and last.channel == "final" and bool(last.content.strip())
    return is_final and bool(row.prompt.strip()) and not calls and not has_tools


def instructions_of(row: Row) -> str:
    """The system text that the row itself has."""
    said = [one.content for one in row.messages if one.role == "developer"]
    return "\n\n".join(said).removeprefix(INSTRUCTIONS).strip()


def talk_before(row: Row) -> tuple[Message, ...]:
    """What was said before the last thing that the user says."""
    places = [place for place, one in enumerate(row.messages) if one.role == "user"]
    before = row.messages[: places[-1]] if places else ()
    return tuple(one for one in before if one.role not in OPENING)


def plain(text: str) -> str:
    """A text as it is compared: but for case, spaces and the width of letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("ё", "е").split())


def _wanted(num: int, num_fit: int, num_held: int | None) -> int:
    """How many are held out. Raises InputError."""
    least = "rows that ask the same count once"
    if num < 2 * LEAST:
        raise InputError(
            f"{counted(num, 'row')} with a question of their own ({least}): "
            f"give {2 * LEAST} or more"
        )
    if num_held is None:
        num_held = min(MOST, max(LEAST, round(SHARE * num)))
        return _checked(min(num_held, num_fit), num_fit)
    if not LEAST <= num_held <= num - LEAST:
        raise InputError(
            f"held out {num_held}: of {counted(num, 'row')} ({least}): give {LEAST} to "
            f"{num - LEAST}"
        )
    return _checked(num_held, num_fit)


def _checked(num_held: int, num_fit: int) -> int:
    if num_fit < max(num_held, LEAST):
        raise InputError(
            f"{counted(num_fit, 'row')} with a final answer and without tools: no "
            f"others can be held out; give {max(num_held, LEAST)} or more of them"
        )
    return num_held


def _asked(row: Row) -> str:
    """What a row asks, as it is compared: its conversation before the last answer."""
    said = [*(one.content for one in talk_before(row)), row.prompt]
    return "\n".join([plain(instructions_of(row)), *map(plain, said)])


def _held(group: Sequence[Row]) -> HeldRow:
    answers = dict.fromkeys(row.messages[-1].content for row in group)
    return HeldRow(group[0], tuple(answers))


def _notes(
    groups: Sequence[Sequence[Row]], fit: Sequence[Sequence[Row]], held: Sequence[Sequence[Row]]
) -> list[str]:
    twice = sum(len(group) - 1 for group in groups)
    not_asked = sum(len(group) for group in held) - len(held)
    unfit = sum(map(len, groups)) - sum(map(len, fit))
    lines = [
        f"{counted(twice, 'row')} ask what another row asks: a group is on one side of the split",
        f"{not_asked} of them are held out: asked once, any of their answers is right",
        f"{counted(unfit, 'row')} with tools or without a final answer: learned from, never asked",
    ]
    return [line for line, num in zip(lines, (twice, not_asked, unfit), strict=True) if num]
