"""Several answers that are made together. Legend: T tokens, V vocabulary."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.generation.decoding import STEP_TOKENS, Decoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from gptoss_magic.generation.engine import LocalEngine
    from gptoss_magic.records import TokenDelta


class Company:
    """Answers that are decoded together, each behind a cache of its own; they come and go.

    A step reads one chunk of one prompt, and lets each answer behind a whole prompt go on, all in
    one forward where the C++ step takes them.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.members: list[Decoding] = []

    def leave(self, member: Decoding) -> None:
        """End it; the tokens so far stay in its cache, which serves others from now on."""
        member.prefix.is_open = False
        self.members.remove(member)

    def step(self) -> Iterator[tuple[Decoding, TokenDelta | Exception]]:
        """(whose, token) as they come; who is done has left. To be read to its end.

        What goes wrong with one answer (a schema that grows too complex) ends that one alone.
        """
        going_on = [member for member in self.members if not member.unread]
        new = next((member for member in self.members if member.unread), None)
        yield from self._go_on(going_on)
        if new is not None:
            yield from self._read(new)

    def _read(self, member: Decoding) -> Iterator[tuple[Decoding, TokenDelta | Exception]]:
        unread, chunk = member.unread, self.engine.chunk
        if len(member.row.prompt_T) - member.num_cached > chunk:
            member.on_prefill(len(member.prefix.tokens), len(member.row.prompt_T))
        logits_TV = self.engine.prefill(unread[:chunk], member.prefix)
        if len(unread) <= chunk:
            yield from self._said(member, logits_TV)

    def _go_on(
        self, members: Sequence[Decoding]
    ) -> Iterator[tuple[Decoding, TokenDelta | Exception]]:
        for start in range(0, len(members), STEP_TOKENS):
            some = members[start : start + STEP_TOKENS]
            room = STEP_TOKENS // len(some)
            pieces = [member.piece(room) for member in some]
            logits_TV = self.engine.read_rows([member.prefix for member in some], pieces)
            ends = [*accumulate(map(len, pieces))]
            for member, end, piece in zip(some, ends, pieces, strict=True):
                yield from self._said(member, logits_TV[end - len(piece) : end])

    def _said(
        self, member: Decoding, logits_TV: torch.Tensor
    ) -> Iterator[tuple[Decoding, TokenDelta | Exception]]:
        try:
            for token in member.said(logits_TV):
                yield member, token
        except InputError as error:
            member.is_done = True
            yield member, error
        if member.is_done:
            self.leave(member)
