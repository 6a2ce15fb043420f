"""Messages in the making, while a parser reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gptoss_magic.harmony.channel_names import COMMENTARY, FINAL
from gptoss_magic.records import ToolCall, function_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony.header import Header


@dataclass
class Draft:
    """A message in the making. `is_bare`: text without a header, which may yet be one's begin."""

    header: Header
    pieces: list[str] = field(default_factory=list)
    is_bare: bool = False

    @property
    def content(self) -> str:
        return "".join(self.pieces)

    @property
    def is_answer(self) -> bool:
        """True for a call, and for a `final` that says something."""
        is_final = self.header.channel == FINAL
        return bool(self.header.recipient) or (is_final and any(map(str.strip, self.pieces)))


def settled_channels(drafts: Sequence[Draft]) -> list[str]:
    """The channel of each message of a completion.

    What could not be read is `commentary` beside a right final or a call, else `final`: what was
    said must be seen, but never as a part of the right answer.
    """
    unread = COMMENTARY if any(draft.is_answer for draft in drafts) else FINAL
    return [draft.header.channel or unread for draft in drafts]


def called(recipient: str, raw: str) -> ToolCall:
    """What was said to a recipient, as a call; without arguments where `raw` is no JSON object."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    return ToolCall(function_name(recipient), value if isinstance(value, dict) else None, raw)
