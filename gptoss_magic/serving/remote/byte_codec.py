"""Harmony's tokens without a vocabulary: its special tokens, and bytes.

What a server says as text is parsed, shown and kept as any answer is; these tokens are ours alone.
"""

from __future__ import annotations

from gptoss_magic.harmony.codec import NAMES, HarmonyCodec

FIRST_BYTE = 16  # ids below are special tokens


class ByteTokenizer:
    """What `HarmonyCodec` asks of a fast tokenizer, for bytes."""

    def __init__(self) -> None:
        self.added_tokens_decoder = {place: f"<|{name}|>" for place, name in enumerate(NAMES)}
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        moved = [byte for byte in range(256) if byte not in printable]
        letters = {byte: chr(byte) for byte in printable}
        letters |= {byte: chr(256 + place) for place, byte in enumerate(moved)}
        self._vocabulary = {letter: FIRST_BYTE + byte for byte, letter in letters.items()}

    def get_vocab(self) -> dict[str, int]:
        specials = {text: token for token, text in self.added_tokens_decoder.items()}
        return self._vocabulary | specials

    def encode(self, text: str, **_settings: bool) -> list[int]:
        """Bytes of `text`; names of special tokens in it are text."""
        return [FIRST_BYTE + byte for byte in text.encode()]


def byte_codec() -> HarmonyCodec:
    """A codec for a server that takes messages."""
    return HarmonyCodec(ByteTokenizer())
