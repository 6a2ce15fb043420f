"""Prompt-lookup drafts: what followed the last earlier place where the latest tokens stand.

Source: A. Saxena, Prompt Lookup Decoding (2023); the n-gram variant of speculative decoding
(arXiv 2211.17192). The model checks a draft in one forward; what it would not have said is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NGRAM = 3
LONGEST_WAIT = 64


class Lookup:
    """Drafts at most `longest` tokens; shorter, and rarer, the less of them comes true.

    All of it follows from the tokens alone, so that an answer repeats on any machine.
    """

    def __init__(self, tokens: Iterable[int], longest: int) -> None:
        self.longest = longest
        self.length, self.misses, self.waiting = min(2, longest), 0, 0
        self.tokens: list[int] = []
        self.after: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """One more token stands; its n-gram is found again from the next one on."""
        gram = tuple(self.tokens[-NGRAM:])
        if len(gram) == NGRAM:
            self.after[gram] = len(self.tokens)
        self.tokens.append(token)

    def draft(self, room: int) -> list[int]:
        """What may follow, at most `room` tokens; nothing while drafts do not come true."""
        if self.waiting:
            self.waiting -= 1
            return []
        place = self.after.get(tuple(self.tokens[-NGRAM:]))
        return [] if place is None else self.tokens[place : place + min(self.length, room)]

    def judge(self, num_drafted: int, num_true: int) -> None:
        """Learn how much of a draft came true."""
        if num_true == num_drafted:
            self.length, self.misses = min(2 * self.length, self.longest), 0
            return
        self.length = max(1, num_true)
        self.misses = 0 if num_true else self.misses + 1
        self.waiting = min(2**self.misses - 1, LONGEST_WAIT)
