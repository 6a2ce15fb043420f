"""Messages with the exact tokens that said them, so that nobody tokenises their text again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.harmony.parse import parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony.codec import HarmonyCodec
    from gptoss_magic.records import Message


def with_ids(
    messages: Sequence[Message], answer_T: Sequence[int], codec: HarmonyCodec
) -> tuple[Message, ...]:
    """`messages`, parsed from the generated tokens `answer_T`, with their own tokens.

    A message whose tokens do not say it alone (a header that was repaired, an end that is missing)
    keeps none: it is written anew, as the format wants it.
    """
    pieces = [piece for piece in _pieces(answer_T, codec) if piece]
    if len(pieces) != len(messages):
        return tuple(messages)
    return tuple(
        replace(message, ids=piece) if _says(piece, message, codec) else message
        for message, piece in zip(messages, pieces, strict=True)
    )


def _pieces(answer_T: Sequence[int], codec: HarmonyCodec) -> list[tuple[int, ...]]:
    """The tokens of each message, from `<|start|>` to its end, as an earlier turn has them."""
    special = codec.special
    header = [special["start"], *codec.encode("assistant")]
    pieces: list[list[int]] = [list(header)]
    for token in answer_T:
        if token == special["start"]:
            pieces.append([])
        pieces[-1].append(special["end"] if token == special["return"] else token)
    if pieces[-1] == header:
        pieces.pop()
    return [tuple(piece) for piece in pieces]


def _says(piece: tuple[int, ...], message: Message, codec: HarmonyCodec) -> bool:
    """True where these tokens are this message, whole and as the format has it."""
    special = codec.special
    ends = (special["end"], special["call"])
    if piece[-1] not in ends or any(piece.count(special[n]) != 1 for n in ("start", "message")):
        return False
    opened = len(codec.encode("assistant")) + 1
    parser = parsed(piece[opened:], codec)
    return parser.messages == (message,) and not parser.repairs
