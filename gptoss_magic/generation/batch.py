"""Many prompts at once: continuous batching over one model, their shared prefix computed once.

Legend: B rows, T new tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from gptoss_magic.generation.answer_row import AnswerRow
from gptoss_magic.generation.sampling import sample_rows
from gptoss_magic.model.given_cache import given_cache
from gptoss_magic.model.plan import kv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from gptoss_magic.generation.engine import LocalEngine
    from gptoss_magic.generation.guide import Grammar
    from gptoss_magic.records import SamplingSettings, TokenDelta

PREFIX = "(shared prefix)"


@dataclass(frozen=True)
class BatchPrompt:
    """One prompt of token ids. All of a batch draw alike: they share what
    the `settings` say but seed, `max_tokens` and `stop`.

    `grammar`: what this answer may say.
    """

    prompt: Sequence[int]
    settings: SamplingSettings
    grammar: Grammar | None = None


def stream_batch(
    engine: LocalEngine, prompts: Sequence[BatchPrompt], num_rows: int = 32
) -> Iterator[tuple[int, TokenDelta]]:
    """Yield (index of the prompt, token) as they come, at most `num_rows` prompts at a time.

    Fewer where their KV caches would exceed the engine's bound; the oldest conversations make room
    for them. Raises InputError or
    ContextOverflow, before anything is computed, where one of them cannot be answered.
    """
    for prompt in prompts:
        engine.check(prompt.prompt, prompt.settings.max_tokens)
    if prompts:
        yield from _Batch(engine, prompts, num_rows).run()


class _Batch:
    def __init__(self, engine: LocalEngine, prompts: Sequence[BatchPrompt], num_rows: int) -> None:
        from gptoss_magic.model.rows_cache import RowsCache

        self.engine = engine
        self.waiting = deque(
            AnswerRow(
                p.prompt, p.settings, engine.codec, engine.model.device, index, grammar=p.grammar
            )
            for index, p in enumerate(prompts)
        )
        self.rows: list[AnswerRow] = []
        self.num_shared = num_shared([p.prompt for p in prompts])
        self.num_virtual = engine.prefixes.beside.num_virtual
        longest = max(len(p.prompt) + p.settings.max_tokens for p in prompts)
        capacity = self.num_virtual + longest
        row_bytes = bytes_of_row(engine, capacity)
        fitting = max(1, engine.prefixes.limit // row_bytes)
        self.num_rows = min(num_rows, len(prompts), fitting)
        self.num_bytes = self.num_rows * row_bytes
        self.cache = RowsCache(engine.model.config, self.num_rows, capacity)

    def run(self) -> Iterator[tuple[int, TokenDelta]]:
        prefix_T = list(self.waiting[0].prompt_T[: self.num_shared])
        self.shared = self.engine.prefixes.take(PREFIX, [*prefix_T, -1])
        if len(self.shared.tokens) < len(prefix_T):
            self.engine.prefill(prefix_T[len(self.shared.tokens) :], self.shared)
        self.engine.prefixes.trim(self.num_bytes)
        self.shared.is_open = True
        try:
            while self.waiting or self.rows:
                fed = self._admit() if self._has_room() else self.rows
                yield from self._take(fed, self._logits(fed))
        finally:
            self.shared.is_open = False

    def _has_room(self) -> bool:
        """True where new rows may come in: several together, since each forward has its price."""
        free = self.num_rows - len(self.rows)
        return bool(self.waiting) and free >= min(len(self.waiting), max(1, self.num_rows // 4))

    def _admit(self) -> list[AnswerRow]:
        """New rows behind the others; their prompts together make one chunk, or one prompt more."""
        fresh: list[AnswerRow] = []
        longest = 0
        while self.waiting and len(self.rows) + len(fresh) < self.num_rows:
            longest = max(longest, len(self.waiting[0].prompt_T) - self.num_shared)
            if fresh and longest * (len(fresh) + 1) > self.engine.chunk:
                break
            fresh.append(self.waiting.popleft())
        self.cache.join(len(fresh), self.shared.cache, self.num_virtual + self.num_shared)
        self.rows += fresh
        return fresh

    def _logits(self, fed: Sequence[AnswerRow]) -> torch.Tensor:
        """Logits [B, V] behind what the rows `fed` (the last ones, or all) have not seen yet."""
        first, chunk = len(self.rows) - len(fed), self.engine.chunk
        pieces = [
            [row.last] if row.num_new else list(row.prompt_T[self.num_shared :]) for row in fed
        ]
        if len(pieces) > 1:
            return self._forward(first, pieces)
        for start in range(0, len(pieces[0]), chunk):
            logits_BV = self._forward(first, [pieces[0][start : start + chunk]])
        return logits_BV

    def _forward(self, first: int, pieces: list[list[int]]) -> torch.Tensor:
        """Logits [B, V] behind each piece; the rows grow by them."""
        import torch

        sizes = [len(piece) for piece in pieces]
        with torch.no_grad():
            logits_BV = self.engine.step.take_rows(self.cache, first, pieces)
            if logits_BV is None:
                logits_BV = self._padded(first, pieces)
        for row, size in enumerate(sizes, first):
            self.cache.lengths[row] += size
        return logits_BV

    def _padded(self, first: int, pieces: list[list[int]]) -> torch.Tensor:
        """As `_forward`; short pieces are padded, unseen, on their right."""
        import torch

        model, device = self.engine.model, self.engine.model.device
        sizes = [len(piece) for piece in pieces]
        longest = max(sizes)
        ids_BT = torch.tensor([piece + [0] * (longest - len(piece)) for piece in pieces])
        self.cache.expect(first, longest)
        hidden_BTH = model.get_decoder()(
            ids_BT.to(device),
            position_ids=self.cache.positions().to(device),
            attention_mask=self.cache.masks(model.dtype, device),
            **given_cache(self.cache),
            use_cache=True,
        ).last_hidden_state
        last_B = torch.tensor(sizes, device=device) - 1
        logits_BV: torch.Tensor = model.get_output_embeddings()(
            hidden_BTH[torch.arange(len(sizes), device=device), last_B]
        )
        return logits_BV

    def _take(
        self, fed: Sequence[AnswerRow], logits_BV: torch.Tensor
    ) -> Iterator[tuple[int, TokenDelta]]:
        logits_BV = logits_BV.float()
        totals_B = logits_BV.logsumexp(-1)
        for row, logits_V in zip(fed, logits_BV, strict=True):
            row.bar(logits_V)
        generators = [row.generator for row in fed]
        tokens, logprobs = sample_rows(logits_BV, fed[0].settings, generators, totals_B)
        ended = []
        for row, token, logprob in zip(list(fed), tokens, logprobs, strict=True):
            delta = row.take(token, logprob)
            if delta.finish:
                ended.append(row)
            yield row.index, delta
        for row in ended:
            place = self.rows.index(row)
            self.cache.leave(place)
            self.rows[place] = self.rows[-1]
            self.rows.pop()


def num_shared(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the prefix that all prompts share, short of the last token of each."""
    least = min(map(len, prompts)) - 1
    columns = zip(*(prompt[:least] for prompt in prompts), strict=True)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def bytes_of_row(engine: LocalEngine, capacity: int) -> int:
    """Bytes of the keys and values of one row of `capacity` tokens."""
    config, size = engine.model.config.to_dict(), int(engine.model.dtype.itemsize)
    return kv_bytes(config, capacity) * size // 2
