"""The text of a stream as runs of one channel, sent piece by piece."""

from __future__ import annotations

from typing import TypedDict


class StreamPart(TypedDict):
    """Text `t` of block `i`, of channel `c`, from `o` UTF-16 units of the block on."""

    i: int
    c: str
    o: int
    t: str


class Blocks:
    """The text so far as runs of one channel, and which part of it was not yet sent."""

    def __init__(self) -> None:
        self._blocks: list[tuple[str, list[str]]] = []
        self._sent = (0, 0)

    def add(self, channel: str, text: str) -> None:
        if not self._blocks or self._blocks[-1][0] != channel:
            self._blocks.append((channel, []))
        self._blocks[-1][1].append(text)

    def text(self, channel: str) -> str:
        return "".join("".join(pieces) for name, pieces in self._blocks if name == channel)

    def whole(self) -> list[StreamPart]:
        """Every block from its beginning, in the form that `fresh` has."""
        return self._parts(0, 0)

    def fresh(self) -> list[StreamPart]:
        """Parts added since the last call: block index, channel, offset in characters, text."""
        index, piece = self._sent
        parts = self._parts(index, piece)
        if self._blocks:
            self._sent = (len(self._blocks) - 1, len(self._blocks[-1][1]))
        return parts

    def _parts(self, index: int, piece: int) -> list[StreamPart]:
        parts: list[StreamPart] = []
        for number, (channel, pieces) in enumerate(self._blocks[index:], index):
            skipped = piece if number == index else 0
            text = "".join(pieces[skipped:])
            if text:
                offset = _utf16_length("".join(pieces[:skipped]))
                parts.append({"i": number, "c": channel, "o": offset, "t": text})
        return parts


def _utf16_length(text: str) -> int:
    """Length as JavaScript counts it."""
    return len(text) + sum(char > "\uffff" for char in text)
