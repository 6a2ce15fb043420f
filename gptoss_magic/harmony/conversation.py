"""What of a conversation the next prompt sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.harmony.header import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Message


def prune(messages: Sequence[Message]) -> list[Message]:
    """Drop the analysis before the last `final` that ends its turn; between tool calls it stays.

    Source: the harmony guide's rule for earlier chains of thought. A `final` behind which the same
    turn calls a tool is no end: the reasoning of a turn that goes on is never dropped.
    """
    last, goes_on = -1, False
    for place in reversed(range(len(messages))):
        message = messages[place]
        if message.role == "user":
            goes_on = False
        elif message.role == "tool" or _is_call(message):
            goes_on = True
        elif message.role == "assistant" and message.channel == "final" and not goes_on:
            last = place
            break
    return [m for place, m in enumerate(messages) if place > last or not _is_thought(m)]


def _is_call(message: Message) -> bool:
    return message.role == "assistant" and message.recipient not in (None, *AUDIENCE)


def _is_thought(message: Message) -> bool:
    is_analysis = message.role == "assistant" and message.channel == "analysis"
    return is_analysis and not _is_call(message)
