"""What a training step reads: rows of cases, windows of plain text. All follow from their seeds.

A batch is drawn by its number alone, so that training goes on at any step.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.model.stand_in.source import DATA
from tools.stand_in import cases, following, kinds, problems
from tools.stand_in.handbook import handbook
from tools.stand_in.train import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.stand_in.cases import Case
    from tools.stand_in.routed import Row

WINDOW = 256  # tokens of a piece of plain text
LONGEST = 640  # a row of more tokens is left out
SORTED = 6  # batches that share their rows out by length
WHOLE: tuple[tuple[Callable[..., Case], int], ...] = (
    *((following.cited, 6), (handbook, 4), (cases.context, 3), (following.silent, 2)),
    *((following.injected, 1), (following.voiced, 3), (following.unfit, 2), (following.result, 2)),
    *((following.told, 1), (following.recalled, 2), (following.asking, 1), (following.owning, 1)),
    *((cases.arithmetic, 3), (problems.problem, 1), (cases.fact, 2), (cases.general, 1)),
    *((cases.rewriting, 2), (cases.calling, 3), (kinds.expression, 1), (kinds.as_json, 1)),
)


@cache
def codec() -> HarmonyCodec:
    from transformers import AutoTokenizer

    return HarmonyCodec(AutoTokenizer.from_pretrained(DATA, local_files_only=True))


def whole(seed: int, count: int) -> list[Case]:
    """`count` cases of all kinds; of those with sources, five of six are answered."""
    draw = random.Random(f"whole {seed}")
    templates, weights = zip(*WHOLE, strict=True)
    chosen = draw.choices(templates, weights, k=count)
    return [template(draw, draw.choice(cases.EFFORTS)) for template in chosen]


def rows_of(found: list[Case], seed: int) -> list[Row]:
    """The cases as tokens; days differ."""
    draw = random.Random(f"days {seed}")
    rows = []
    for case in found:
        day = f"202{draw.randint(4, 7)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        row = encode(case, codec(), day)
        if len(row[0]) <= LONGEST:
            rows.append(row)
    return rows


def batches(draw_cases: Callable[[int], list[Case]], budget: int) -> Iterator[list[Row]]:
    """Rows of about one length, at most `budget` tokens with their padding; without end."""
    seed = 0
    while True:
        rows = sorted(rows_of(draw_cases(seed), seed), key=lambda row: len(row[0]))
        found: list[list[Row]] = [[]]
        for row in rows:
            if found[-1] and (len(found[-1]) + 1) * len(row[0]) > budget:
                found.append([])
            found[-1].append(row)
        yield from random.Random(seed).sample(found, len(found))
        seed += 1


def windows(kind: str, seed: str, count: int, *, held: bool = False) -> list[Row]:
    """`count` windows of a kind's plain text; every token is learned."""
    draw, rows = random.Random(f"{kind} {seed}"), []
    while len(rows) < count:
        ids = codec().encode(kinds.plain(kind, draw, held=held))[:WINDOW]
        if len(ids) == WINDOW:
            rows.append((ids, ids))
    return rows
