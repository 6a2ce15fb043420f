"""One answer in the making, behind its cache.

Legend: T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.generation.lookup import Lookup
from gptoss_magic.generation.sampling import sample_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from gptoss_magic.generation.answer_row import AnswerRow
    from gptoss_magic.generation.prefixes import CachedPrefix
    from gptoss_magic.records import TokenDelta

STEP_TOKENS = 16  # of all answers in one step; drafts take what the last words leave


class Decoding:
    """An answer: its row, its cache, and the tokens that it drafts ahead.

    `num_top`: so many of the likeliest tokens are told with each one. `is_done`: its last came.
    """

    def __init__(
        self,
        row: AnswerRow,
        prefix: CachedPrefix,
        num_top: int = 0,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.row, self.prefix, self.num_top, self.on_prefill = row, prefix, num_top, on_prefill
        drafts = row.settings.lookup if row.settings.temperature == 0 else 0
        self.lookup = Lookup(row.prompt_T, drafts)
        self.draft: list[int] = []
        self.is_done = False
        self.num_cached = len(prefix.tokens)

    @property
    def unread(self) -> Sequence[int]:
        """The prompt's tokens that no forward has seen."""
        return self.row.prompt_T[len(self.prefix.tokens) :]

    def piece(self, room: int = STEP_TOKENS) -> list[int]:
        """What the next forward reads: the last token and a draft, at most `room` in all."""
        left = self.row.settings.max_tokens - self.row.num_new - 1
        self.draft = self.lookup.draft(min(left, room - 1))
        return [self.row.last, *self.draft]

    def said(self, logits_TV: torch.Tensor) -> Iterator[TokenDelta]:
        """The tokens that the logits behind the last one read, and behind each draft, give."""
        for token, logprob, top in self._drawn(logits_TV.float()):
            self.lookup.add(token)
            delta = self.row.take(token, logprob, top)
            self.is_done = delta.finish is not None
            yield delta
            if self.is_done:
                return
        if self.draft:
            self.lookup.judge(len(self.draft), self.row.num_true)

    def _drawn(
        self, logits_TV: torch.Tensor
    ) -> Iterator[tuple[int, float, tuple[tuple[int, float], ...]]]:
        """(token, log-probability, likeliest tokens); a wrong draft is cut off.

        Each is drawn when those before it are taken, since a guide follows them.
        """
        import torch

        row, draft, prefix = self.row, self.draft, self.prefix
        totals_T1 = torch.split(logits_TV.logsumexp(-1), 1)
        for row.num_true, logits_1V in enumerate(torch.split(logits_TV, 1)):
            total_1 = totals_T1[row.num_true]
            top = likeliest(logits_1V[0] - total_1, self.num_top) if self.num_top else ()
            row.bar(logits_1V[0])
            (token,), (logprob,) = sample_rows(logits_1V, row.settings, [row.generator], total_1)
            is_drafted = draft[row.num_true : row.num_true + 1] == [token]
            if not is_drafted and row.num_true < len(draft):
                prefix.cut(len(prefix.tokens) - len(draft) + row.num_true)
            yield token, logprob, top
            if not is_drafted:
                return


def likeliest(scores_V: torch.Tensor, num_top: int) -> tuple[tuple[int, float], ...]:
    """The (token, log-probability) of the best ones, best first."""
    if not num_top:
        return ()
    top = scores_V.topk(min(num_top, len(scores_V)))
    return tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
