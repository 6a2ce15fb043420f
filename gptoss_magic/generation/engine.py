"""Prefill and decode over the resident model: a loop that yields tokens. Legend: T tokens."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow, InputError
from gptoss_magic.generation.lookup import Lookup
from gptoss_magic.generation.prefixes import Prefixes
from gptoss_magic.generation.row import Row
from gptoss_magic.generation.sampling import SamplingSettings, sample_rows
from gptoss_magic.model.plan import PREFILL_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from gptoss_magic.generation.guide import Grammar
    from gptoss_magic.generation.prefixes import Held
    from gptoss_magic.generation.routes import Routes
    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.model.router import Capture
    from gptoss_magic.records import RoutingTrace, TokenDelta

CPU_PREFILL_TOKENS = 512  # a chunk of some seconds, so that the progress moves


class Engine:
    """Generates from one model; keeps the KV caches of its conversations (`prefixes`).

    `num_cached`: how many tokens of the latest prompt were not computed again. `routes`: where
    the tokens of the latest stream went, if it was asked.
    """

    def __init__(self, model: Any, codec: HarmonyCodec, context: int, cache_bytes: int = 0) -> None:
        self.model, self.codec, self.context = model, codec, context
        self.prefixes = Prefixes(model.config, cache_bytes)
        self.num_cached = 0
        self.routes: Routes | None = None
        on_cpu = model.device.type == "cpu"
        self.chunk = CPU_PREFILL_TOKENS if on_cpu else PREFILL_TOKENS

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        *,
        conversation: str = "",
        cold: bool = False,
        routing: bool = False,
        kept: Sequence[int] = (),
        grammar: Grammar | None = None,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[TokenDelta]:
        """Yield the tokens that follow `prompt_T` and `kept`; the last has `finish` set.

        What `conversation`'s cache shares with the prompt is not computed again, unless `cold`.
        `routing`: `routes` has the prompt and what is generated, all but the last token, which no
        forward sees; what was computed without is computed again. `kept`: tokens of the answer
        that stand already. `grammar`: what the answer may say, `kept` included.
        `on_prefill` is told prompt tokens done and in total, where there is more than one chunk.
        Raises, before anything is computed, ContextOverflow where prompt and answer do not fit,
        InputError where `kept` breaks the grammar.
        """
        prompt_T = [*prompt_T, *kept]
        self.check(prompt_T, settings.max_tokens)
        row = Row(prompt_T, settings, self.codec, self.model.device, grammar=grammar)
        for token in kept:
            row.keep(token)
        held = self.prefixes.take(conversation, prompt_T, cold=cold, routing=routing)
        self.num_cached, self.routes = len(held.tokens), held.routes
        return self._decode(row, held, on_prefill)

    @cached_property
    def capture(self) -> Capture:
        """Sees the routers, within a step that asks for routes."""
        from gptoss_magic.model.router import Capture

        return Capture(self.model)

    def trace(self, ids_T: Sequence[int]) -> RoutingTrace | None:
        """Where the latest stream's tokens `ids_T` went, all but the last; None if not asked."""
        if self.routes is None:
            return None
        experts = self.model.config.num_local_experts
        return self.routes.trace(ids_T[:-1], self.codec, experts)

    def apart(self) -> Engine:
        """An engine of the same model with caches of its own, for what nobody may reuse."""
        made = type(self)(self.model, self.codec, self.context)
        made.prefixes.beside = self.prefixes.beside
        return made

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
        held: Held,
        num_logits: int = 1,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> torch.Tensor:
        """Logits [num_logits, V] behind the last tokens; long prompts go through in chunks.

        `held.tokens` grows by what was computed in full, so that an interrupt leaves it true.
        """
        import torch

        ids_1T = torch.tensor([list(ids_T)], device=self.model.device)
        chunks, done = torch.split(ids_1T, self.chunk, dim=1), 0
        for chunk in chunks:
            if len(chunks) > 1:
                on_prefill(done, ids_1T.shape[1])
            logits_TV = self._step(chunk, held, num_logits)
            held.tokens += chunk[0].tolist()
            done += chunk.shape[1]
        self.prefixes.trim()
        return logits_TV

    def _step(self, ids_1T: torch.Tensor, held: Held, num_logits: int) -> torch.Tensor:
        """Logits [num_logits, V] behind the last of `ids_1T` [1, T]; cache and routes grow by T."""
        import torch

        with torch.no_grad(), self.capture if held.routes is not None else nullcontext():
            out = self.model(
                ids_1T, past_key_values=held.cache, use_cache=True, logits_to_keep=num_logits
            )
        if held.routes is not None:
            held.routes.add([seen for (seen,) in self.capture.layers()])
        return out.logits[0]  # type: ignore[no-any-return]

    def _decode(
        self, row: Row, held: Held, on_prefill: Callable[[int, int], None]
    ) -> Iterator[TokenDelta]:
        prompt_T, settings = row.prompt_T, row.settings
        lookup = Lookup(prompt_T, settings.lookup if settings.temperature == 0 else 0)
        logits_TV = self.prefill(prompt_T[len(held.tokens) :], held, on_prefill=on_prefill)
        draft: list[int] = []
        while True:
            for token in self._said(logits_TV, draft, row, held):
                lookup.add(token)
                delta = row.take(token)
                yield delta
                if delta.finish:
                    return
            if draft:
                lookup.judge(len(draft), row.num_true)
            draft = lookup.draft(settings.max_tokens - row.num_new - 1)
            logits_TV = self.prefill([row.last, *draft], held, 1 + len(draft))

    def _said(
        self, logits_TV: torch.Tensor, draft: list[int], row: Row, held: Held
    ) -> Iterator[int]:
        """The tokens that the logits behind each of `draft` give; a wrong draft is cut off.

        Each is drawn when those before it are taken, since a guide follows them.
        """
        import torch

        for row.num_true, logits_1V in enumerate(torch.split(logits_TV, 1)):
            row.bar(logits_1V[0])
            (token,) = sample_rows(logits_1V, row.settings, [row.generator])
            if draft[row.num_true : row.num_true + 1] == [token]:
                yield token
                continue
            if row.num_true < len(draft):
                held.cut(len(held.tokens) - len(draft) + row.num_true)
            yield token
            return
