"""What is shown of a request that the endpoint answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.records.answers import Transcript


@dataclass(frozen=True)
class ServedRow:
    """One request. `clock`: when it came, HH:MM:SS; `state`: waiting and its place, answering,
    or how it ended.

    `num_tokens`: new ones so far. `fault`: what went wrong. `transcript`: the answer, once it is
    there.
    """

    id: str
    clock: str
    route: str
    model: str
    asked: str
    state: str
    num_tokens: int
    tokens_per_s: float = 0.0
    fault: str = ""
    num_repairs: int = 0
    transcript: Transcript | None = None
