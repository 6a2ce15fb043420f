"""What is to be tuned on, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods import settings_of
from gptoss_magic.tuning.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def check_goes_on(before: MethodSettings, said: Mapping[str, Any]) -> None:
    """Raise InputError for what is `said` of the method otherwise than the earlier run has it."""
    known = {**before.record(), "method": before.name}
    lost = sorted(name for name, value in said.items() if known.get(name) != value)
    if lost:
        raise InputError(
            f"after an earlier run its method and parts go on as they are ({before.name}); leave "
            f"{', '.join(lost).replace('_', '-')} out"
        )
