"""Between text and token ids, with harmony's special tokens taken from the tokenizer."""

from __future__ import annotations

from functools import cache
from typing import Any

from gptoss_magic.errors import CheckpointError
from gptoss_magic.quoting import encodable

NAMES = ("start", "end", "message", "channel", "constrain", "return", "call")


class HarmonyCodec:
    """Encodes ordinary text and decodes ids of one Hugging Face fast tokenizer (byte-level BPE).

    `special` maps 'start', 'end', 'message', 'channel', 'constrain', 'return', 'call' to ids;
    they differ between gpt-oss and the built-in model. Raises CheckpointError where one misses.
    """

    def __init__(self, tokenizer: Any) -> None:
        vocabulary = tokenizer.get_vocab()
        missing = [name for name in NAMES if f"<|{name}|>" not in vocabulary]
        if missing:
            raise CheckpointError(
                f"the tokenizer has no <|{missing[0]}|>: not a harmony tokenizer; give the one of "
                "gpt-oss"
            )
        self.tokenizer = tokenizer
        self.special = {name: vocabulary[f"<|{name}|>"] for name in NAMES}
        self.stop_ids = frozenset((self.special["return"], self.special["call"]))
        added = {i: str(t).encode() for i, t in tokenizer.added_tokens_decoder.items()}
        self._pieces = {i: _piece(text) for text, i in vocabulary.items()} | added

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; what looks like a special token in it stays ordinary text.

        A lone surrogate is read as U+FFFD (`quoting.num_surrogates` counts them).
        """
        ids = self.tokenizer.encode(
            encodable(text), add_special_tokens=False, split_special_tokens=True
        )
        return list(ids)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that `token` stands for; a special token gives its name, unknown ids none."""
        return self._pieces.get(token, b"")

    def decode(self, tokens: list[int]) -> str:
        """Text of `tokens`, specials by name, broken UTF-8 replaced."""
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")


@cache
def _alphabet() -> dict[str, int]:
    """GPT-2's byte alphabet, inverted: printable bytes stand for themselves, others from U+0100."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {chr(b): b for b in kept} | {chr(256 + i): b for i, b in enumerate(moved)}


def _piece(text: str) -> bytes:
    alphabet = _alphabet()
    if all(character in alphabet for character in text):
        return bytes(alphabet[character] for character in text)
    return text.encode()
