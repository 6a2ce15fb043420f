"""What of a conversation the next prompt sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Message


def prune(messages: Sequence[Message]) -> list[Message]:
    """Drop the analysis before the last `final`; between tool calls it stays.

    Source: the harmony guide's rule for earlier chains of thought.
    """
    finals = [i for i, m in enumerate(messages) if m.role == "assistant" and m.channel == "final"]
    last = finals[-1] if finals else -1
    return [m for i, m in enumerate(messages) if i > last or not _is_thought(m)]


def _is_thought(message: Message) -> bool:
    return message.role == "assistant" and message.channel == "analysis" and not message.recipient
