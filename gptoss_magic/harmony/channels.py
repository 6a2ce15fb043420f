"""Whose text each token of a conversation is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.harmony.drafts import settled_channels
from gptoss_magic.harmony.header import ASSISTANT
from gptoss_magic.harmony.parse import IN_HEADER, parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony.codec import HarmonyCodec
    from gptoss_magic.harmony.drafts import Draft

HEADER = "header"
ROLES = ("system", "developer", "user")


def channels_of(ids: Sequence[int], codec: HarmonyCodec) -> tuple[str, ...]:
    """By token: 'system', 'developer', 'user', 'tool', 'analysis', 'commentary' or 'final'.

    'header' is what stands between the messages' texts: roles, channels, special tokens. Whose
    text a token is, the parser says; an unread channel is settled within its turn.
    """
    parser = parsed(ids, codec)
    channels: list[str] = []
    turn: list[Draft] = []
    for draft in parser.drafts:
        if draft.header.role in ROLES:
            channels += [*_turn(turn), draft.header.role]
            turn = []
        else:
            turn.append(draft)
    channels += _turn(turn)
    return tuple(HEADER if place == IN_HEADER else channels[place] for place in parser.places)


def _turn(drafts: Sequence[Draft]) -> list[str]:
    """The places of one turn's messages, the assistant's and the tools'."""
    settled = settled_channels([d for d in drafts if d.header.role == ASSISTANT])
    channel = iter(settled)
    return [next(channel) if d.header.role == ASSISTANT else "tool" for d in drafts]
