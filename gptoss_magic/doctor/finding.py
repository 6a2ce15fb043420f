"""What one look at the machine came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "fails"]


@dataclass(frozen=True)
class Finding:
    """`state`: 'ok'; 'missing', where everything else works without it; 'fails', where it does not.

    `name` is what was looked at, `words` what was seen there, `remedy` what to do ('' for nothing).
    """

    name: str
    state: State
    words: str
    remedy: str = ""
