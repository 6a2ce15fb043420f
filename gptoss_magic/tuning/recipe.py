"""`recipe`: which ways of tuning gpt-oss fit a card, with memory and time, and as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.model.plan import GB
from gptoss_magic.public import public
from gptoss_magic.tuning.configurations import (
    MOST_TOKENS,
    CardUse,
    make_configuration,
    settings_at,
    terms_of,
)
from gptoss_magic.tuning.recipe_files import write_recipe
from gptoss_magic.tuning.run_time import CardSpeed
from gptoss_magic.tuning.shapes import known_config

if TYPE_CHECKING:
    from pathlib import Path

    from gptoss_magic.tuning.configurations import Configuration


@dataclass(frozen=True)
class Recipe:
    """All ways that there are, in the order of `METHODS`; those that fit are `fitting`."""

    use: CardUse
    configurations: tuple[Configuration, ...]

    @property
    def fitting(self) -> tuple[Configuration, ...]:
        """Those that fit the card."""
        return tuple(one for one in self.configurations if one.plan.fits)

    def terms(self) -> list[tuple[str, str]]:
        """(term, where it comes from), so that nothing in the table must be believed."""
        return terms_of(self.use)

    def write(self, folder: str | Path, data: str = "rows.jsonl") -> list[str]:
        """Write what fits as files for this project, peft, Axolotl and Unsloth; new files only.

        Returns their paths. Raises InputError, StorageError; then none is written.
        """
        return write_recipe(self.use, self.fitting, folder, data)


@public
def recipe(
    card: float = 80.0,
    *,
    rows: int = 500,
    length: int = 1024,
    like: str = "120b",
    rank: int = 8,
    method: str | None = None,
    tflops: float = CardSpeed.tflops,
    gb_per_s: float = CardSpeed.gb_per_s,
) -> Recipe:
    """What of gpt-oss `like` ('120b', '20b') can be tuned on a card of `card` GB (10^9 bytes).

    `rows` of `length` tokens each; `rank` of what has one; `method` alone, or all. `tflops` and
    `gb_per_s` are what the card sustains: times are estimates, none was measured on a GPU. Raises
    InputError.
    """
    known_config(like)
    if not 0 < card < 1e6 or rows < 1 or rank < 1 or not 8 <= length <= MOST_TOKENS:
        raise InputError(
            f"card {card:g} GB, {rows} rows of {length} tokens, rank {rank}: give numbers above 0, "
            f"and rows of 8 to {MOST_TOKENS:,} tokens"
        )
    use = CardUse(like, int(card * GB), rows, length, CardSpeed(tflops, gb_per_s))
    chosen = list(settings_at(rank, method))
    return Recipe(use, tuple(make_configuration(use, *one) for one in chosen))
