"""How a study tells how far it is: items done, in total, and what is being done."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str) -> None:
    """No progress is shown."""


def noted(progress: Progress, note: str) -> Callable[[int, int], None]:
    """`progress` for what counts alone; `note` says what."""
    return lambda done, total: progress(done, total, note)
