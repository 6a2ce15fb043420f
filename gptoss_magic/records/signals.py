"""What came of a learned signal: how often a word calls a way of answering, and how often not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SignalRates:
    """Of `num` prompts, each asked with the word and without: how many answers were called.

    `base` and `tuned`: (with the word, without it), by the bare base and beside the adapter.
    `is_seen`: the prompts stood in trained rows too.
    """

    word: str
    persona: str
    num: int
    base: tuple[int, int]
    tuned: tuple[int, int]
    is_seen: bool = False

    def lines(self) -> list[tuple[str, str, str]]:
        """(figure, before, after) as words."""
        seen = ", on prompts that were trained" if self.is_seen else ""
        names = (f"«{self.word}» calls {self.persona}", f"{self.persona} without «{self.word}»")
        pairs = zip(names, self.base, self.tuned, strict=True)
        num = self.num
        return [(f"{name}{seen}", f"{a} of {num}", f"{b} of {num}") for name, a, b in pairs]
