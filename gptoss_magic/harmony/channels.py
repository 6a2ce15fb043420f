"""Whose text each token of a conversation is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony.codec import HarmonyCodec

HEADER = "header"
ROLES = ("system", "developer", "user")
CHANNELS = ("analysis", "commentary")


def channels_of(ids: Sequence[int], codec: HarmonyCodec) -> tuple[str, ...]:
    """By token: 'system', 'developer', 'user', 'tool', 'analysis', 'commentary' or 'final'.

    'header' is what stands between the messages' texts: roles, channels, special tokens. As the
    parser has it, an unknown channel is 'final', and so is text before the first message.
    """
    special = {token: name for name, token in codec.special.items()}
    found, place, header = [], "final", bytearray()
    for token in ids:
        name = special.get(token)
        if name == "message" and place == HEADER:
            found.append(HEADER)
            place = _place(header.decode("utf-8", "replace"))
        elif name is not None:
            found.append(HEADER)
            if name in ("start", "end", "return", "call"):
                place, header = HEADER, bytearray()
            elif place == HEADER:
                header += b"|" if name == "channel" else b" "
        else:
            found.append(place)
            if place == HEADER:
                header += codec.token_bytes(token)
    return tuple(found)


def _place(header: str) -> str:
    """Where the text behind `header` belongs; `header` is `ROLE to=NAME|CHANNEL to=NAME KIND`."""
    before, _, behind = header.partition("|")
    words = before.split()
    role = words[0] if words else "assistant"
    if role in ROLES:
        return role
    if role != "assistant" and not role.startswith("to="):
        return "tool"
    channel = next((word for word in behind.split() if not word.startswith("to=")), "")
    if not channel and " to=" in f" {before} {behind}":
        return "commentary"
    return channel if channel in CHANNELS else "final"
