"""Prefill and decode over the resident model: a loop that yields tokens. Legend: T tokens."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow, InputError
from gptoss_magic.generation.answer_row import AnswerRow
from gptoss_magic.generation.decoding import Decoding
from gptoss_magic.generation.prefixes import Prefixes
from gptoss_magic.generation.protocol import Capabilities
from gptoss_magic.model.given_cache import given_cache
from gptoss_magic.model.plan import PREFILL_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from gptoss_magic.generation.guide import Grammar
    from gptoss_magic.generation.prefixes import CachedPrefix
    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.model.graph_step import GraphStep
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.model.router import Capture
    from gptoss_magic.model.step import DecodeStep
    from gptoss_magic.records import RoutingTrace, SamplingSettings, TokenDelta, ToolSpec
    from gptoss_magic.records.provenance import ServerRecord

CPU_PREFILL_TOKENS = 512  # a forward of some seconds, so that the progress moves
SCORED = 64  # tokens whose logits are in memory at once


class LocalStream:
    """The tokens of one answer of a `LocalEngine`; see `Stream`."""

    ended = "interrupt"
    server: ServerRecord | None = None

    def __init__(
        self, engine: LocalEngine, prefix: CachedPrefix, tokens: Iterator[TokenDelta]
    ) -> None:
        self._engine, self._prefix, self._tokens = engine, prefix, tokens
        self.num_cached = len(prefix.tokens)

    def __iter__(self) -> LocalStream:
        return self

    def __next__(self) -> TokenDelta:
        return next(self._tokens)

    def close(self) -> None:
        """Nothing is added or traced any more; the cache serves other answers."""
        self._prefix.is_open = False

    __del__ = close

    def trace(self, ids_T: Sequence[int]) -> RoutingTrace | None:
        """Where `ids_T` went, all but the last; None if not asked."""
        if self._prefix.routes is None:
            return None
        experts = self._engine.model.config.num_local_experts
        return self._prefix.routes.trace(ids_T[:-1], self._engine.codec, experts)


class LocalEngine:
    """Generates from one model; keeps the KV caches of its conversations (`prefixes`)."""

    capabilities = Capabilities(routing=True, scores=True, grammar=True, kept=True, batches=True)

    def __init__(
        self, model: Model, codec: HarmonyCodec, context: int, cache_bytes: int = 0
    ) -> None:
        self.model, self.codec, self.context = model, codec, context
        self.prefixes = Prefixes(model.config, cache_bytes)

    def stream(
        self, prompt_T: Sequence[int], settings: SamplingSettings, **how: Any
    ) -> LocalStream:
        """The tokens that follow `prompt_T`; the last has `finish` set. `how`: as of `begun`."""
        one = self.begun(prompt_T, settings, **how)
        return LocalStream(self, one.prefix, self._decode(one))

    def begun(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        *,
        conversation: str = "",
        cold: bool = False,
        routing: bool = False,
        kept: Sequence[int] = (),
        grammar: Grammar | None = None,
        num_top: int = 0,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Decoding:
        """An answer that is to follow `prompt_T` and `kept`, behind its cache, which is open.

        What `conversation`'s cache shares with the prompt is not computed again, unless `cold`.
        `routing`: the stream's `trace` has the prompt and what is generated, all but the last
        token, which no forward sees; what was computed without is computed again. `kept`: tokens of
        the answer that stand already. `grammar`: what the answer may say, `kept` included.
        `num_top`: so many of the likeliest tokens are told beside each. `on_prefill` is told
        prompt tokens done and in total, where there is more than one chunk.
        Raises, before anything is computed, ContextOverflow where prompt and answer do not fit,
        InputError where `kept` breaks the grammar.
        """
        prompt_T = [*prompt_T, *kept]
        self.check(prompt_T, settings.max_tokens)
        row = AnswerRow(prompt_T, settings, self.codec, self.model.device, grammar=grammar)
        for token in kept:
            row.keep(token)
        prefix = self.prefixes.take(conversation, prompt_T, cold=cold, routing=routing)
        prefix.is_open = True
        return Decoding(row, prefix, num_top, on_prefill)

    @cached_property
    def capture(self) -> Capture:
        """Sees the routers, within a step that asks for routes."""
        from gptoss_magic.model.router import Capture

        return Capture(self.model)

    @property
    def chunk(self) -> int:
        """Prompt tokens of a forward, at most: what one step takes, where it takes a chunk."""
        from gptoss_magic.model.step import FEW

        if self.model.device.type != "cpu":
            return PREFILL_TOKENS
        most = self.step.most
        return CPU_PREFILL_TOKENS if most == FEW else min(most, CPU_PREFILL_TOKENS)

    @cached_property
    def step(self) -> DecodeStep | GraphStep:
        """A few tokens in one C++ call; on a GPU a token as one graph."""
        return step_of(self.model)

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
        """The log-probability of each token of `answer_T` behind `prompt_T`, in nats.

        What is in the caches is used. Raises ContextOverflow, InputError.
        """
        return [token.logprob or 0.0 for token in self.scored(prompt_T, answer_T)]

    def scored(
        self, prompt_T: Sequence[int], answer_T: Sequence[int], num_top: int = 0
    ) -> list[TokenDelta]:
        """The tokens of `answer_T` as if they had been drawn; see `score` and `begun`."""
        import torch

        from gptoss_magic.generation.decoding import likeliest
        from gptoss_magic.records import TokenDelta

        self.check(prompt_T, len(answer_T))
        prefix = self.prefixes.take("", prompt_T)
        rest_T = prompt_T[len(prefix.tokens) : -1]
        if rest_T:
            self.prefill(rest_T, prefix)
        read_T, scored = [prompt_T[-1], *answer_T[:-1]], list[TokenDelta]()
        for start in range(0, len(answer_T), SCORED):
            piece_T = read_T[start : start + SCORED]
            logits_TV = self.prefill(piece_T, prefix, len(piece_T)).float()
            said_T = torch.tensor(answer_T[start : start + SCORED], device=logits_TV.device)
            scores_TV = logits_TV.log_softmax(-1)
            chosen_T = scores_TV.gather(1, said_T[:, None])[:, 0].tolist()
            tops = [likeliest(scores_V, num_top) for scores_V in scores_TV]
            tokens = zip(said_T.tolist(), chosen_T, tops, strict=True)
            scored += [TokenDelta(token, None, score, top) for token, score, top in tokens]
        return scored

    def grammar(
        self,
        schema: dict[str, Any] | None,
        *,
        calls: bool = False,
        must_call: Sequence[ToolSpec] = (),
    ) -> Grammar:
        """What an answer by a JSON schema, or one that must call, may say; see `Grammar`."""
        from gptoss_magic.generation.guide import Grammar

        size = self.model.config.vocab_size
        return Grammar(schema, self.codec, size, calls=calls, must_call=must_call)

    def apart(self) -> LocalEngine:
        """An engine of the same model with caches of its own, for what nobody may reuse."""
        engine = type(self)(self.model, self.codec, self.context)
        engine.prefixes = Prefixes(self.model.config, 0, like=self.prefixes)
        engine.step = self.step
        return engine

    def check(self, prompt_T: Sequence[int], max_tokens: int) -> None:
        """Raise InputError or ContextOverflow where such a prompt cannot be answered."""
        if not prompt_T:
            raise InputError("the prompt has no tokens: give some text")
        num_virtual = self.prefixes.beside.num_virtual
        if num_virtual + len(prompt_T) + max_tokens > self.context:
            virtual = f"{num_virtual} virtual and " if num_virtual else ""
            raise ContextOverflow(
                f"{virtual}{len(prompt_T)} prompt tokens + up to {max_tokens} new ones exceed the "
                f"context of {self.context}: lower --max-tokens, shorten the prompt, or load with "
                "a larger --context"
            )

    def prefill(
        self,
        ids_T: Sequence[int],
        prefix: CachedPrefix,
        num_logits: int = 1,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> torch.Tensor:
        """Logits [num_logits, V] behind the last tokens; long prompts go through in chunks.

        `prefix.tokens` grows by what was computed in full, so that an interrupt leaves it true.
        """
        import torch

        ids_1T = torch.tensor([list(ids_T)], device=self.model.device)
        chunks, done = torch.split(ids_1T, self.chunk, dim=1), 0
        for chunk in chunks:
            if len(chunks) > 1:
                on_prefill(done, ids_1T.shape[1])
            logits_TV = self._step(chunk, prefix, num_logits)
            prefix.tokens += chunk[0].tolist()
            done += chunk.shape[1]
        self.prefixes.trim()
        return logits_TV

    def _step(self, ids_1T: torch.Tensor, prefix: CachedPrefix, num_logits: int) -> torch.Tensor:
        """Logits [num_logits, V] behind the last of `ids_1T` [1, T]; cache and routes grow by T."""
        import torch

        size = ids_1T.shape[1]
        with torch.no_grad(), self.capture if prefix.routes is not None else nullcontext():
            wanted = range(size - num_logits, size)
            logits_TV = self.step.take([prefix.cache], [ids_1T[0].tolist()], wanted)
            if logits_TV is None:
                out = self.model(
                    ids_1T, **given_cache(prefix.cache), use_cache=True, logits_to_keep=num_logits
                )
                logits_TV = out.logits[0]
        if prefix.routes is not None:
            prefix.routes.add([seen for (seen,) in self.capture.layers()])
        return logits_TV

    def read_rows(
        self, prefixes: Sequence[CachedPrefix], pieces: Sequence[list[int]]
    ) -> torch.Tensor:
        """Logits [all tokens, V] behind each token of each piece, read behind its prefix.

        In one C++ call, or else one piece after the other.
        """
        import torch

        size, logits_TV = sum(map(len, pieces)), None
        if all(prefix.routes is None for prefix in prefixes):
            with torch.no_grad():
                caches = [prefix.cache for prefix in prefixes]
                logits_TV = self.step.take(caches, pieces, range(size))
        if logits_TV is None:
            rows = zip(prefixes, pieces, strict=True)
            return torch.cat([self.prefill(piece, prefix, len(piece)) for prefix, piece in rows])
        for prefix, piece in zip(prefixes, pieces, strict=True):
            prefix.tokens += piece
        self.prefixes.trim()
        return logits_TV

    def _decode(self, one: Decoding) -> Iterator[TokenDelta]:
        logits_TV = self.prefill(one.unread, one.prefix, on_prefill=one.on_prefill)
        yield from one.said(logits_TV)
        while not one.is_done:
            piece = one.piece()
            yield from one.said(self.prefill(piece, one.prefix, len(piece)))


def step_of(model: Model) -> DecodeStep | GraphStep:
    """The step that is one call, for the device of `model`."""
    from gptoss_magic.model.graph_step import GraphStep
    from gptoss_magic.model.step import DecodeStep

    return (GraphStep if model.device.type == "cuda" else DecodeStep)(model)
