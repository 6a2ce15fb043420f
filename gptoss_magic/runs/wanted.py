"""What is to be tuned on, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods import settings_of
from gptoss_magic.tuning.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gptoss_magic.tuning.data import Row
    from gptoss_magic.tuning.notes import Reading
    from gptoss_magic.tuning.settings import MethodSettings

FOLDER = "gptoss_runs"


@dataclass(frozen=True)
class Wanted:
    """What is to be tuned on and how. `after`: an earlier run that is gone on from.

    `replay`: of its texts, so many for each new one; `own`: so many answers of the base model
    itself are mixed in. `truncate`: rows that are too long are cut, not refused.
    `reading`: how the rows were read, where they came from data.
    """

    rows: Sequence[Row]
    name: str
    method: MethodSettings = field(default_factory=settings_of)
    train: TrainSettings = field(default_factory=TrainSettings)
    folder: Path = Path(FOLDER)
    after: str = ""
    replay: float = 0.2
    own: int = 0
    truncate: bool = False
    reading: Reading | None = None


def check_goes_on(after: str | None, said: Iterable[str]) -> None:
    """Raise InputError where the method or its options are `said` beside an earlier run's."""
    lost = sorted(said) if after else []
    if lost:
        raise InputError(
            f"after {after}: that run's method and parts go on as they are; leave "
            f"{', '.join(lost).replace('_', '-')} out"
        )
