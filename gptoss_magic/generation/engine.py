"""Prefill and decode over the resident model: a loop that yields tokens. Legend: T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow, InputError
from gptoss_magic.generation.prefixes import Prefixes
from gptoss_magic.generation.sampling import SamplingSettings, sample
from gptoss_magic.model.plan import PREFILL_TOKENS
from gptoss_magic.records import TokenDelta

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from gptoss_magic.generation.prefixes import Held
    from gptoss_magic.harmony import HarmonyCodec


class Engine:
    """Generates from one model; keeps the KV caches of its conversations (`prefixes`).

    `num_cached`: how many tokens of the latest prompt were not computed again.
    """

    def __init__(self, model: Any, codec: HarmonyCodec, context: int, cache_bytes: int = 0) -> None:
        self.model, self.codec, self.context = model, codec, context
        self.prefixes = Prefixes(model.config, cache_bytes)
        self.num_cached = 0

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        *,
        conversation: str = "",
        cold: bool = False,
    ) -> Iterator[TokenDelta]:
        """Yield the tokens that follow `prompt_T`; the last has `finish` set.

        What `conversation`'s cache shares with the prompt is not computed again, unless `cold`.
        Raises ContextOverflow, before anything is computed, where prompt and answer do not fit.
        """
        self._check(prompt_T, settings.max_tokens)
        held = self.prefixes.take(conversation, prompt_T, cold=cold)
        self.num_cached = len(held.tokens)
        return self._decode(prompt_T, settings, held)

    def _check(self, prompt_T: Sequence[int], max_tokens: int) -> None:
        if not prompt_T:
            raise InputError("the prompt has no tokens: give some text")
        if len(prompt_T) + max_tokens > self.context:
            raise ContextOverflow(
                f"{len(prompt_T)} prompt tokens + up to {max_tokens} new ones exceed the context "
                f"of {self.context}: lower --max-tokens, shorten the prompt, or load with a larger "
                "--context"
            )

    def _decode(
        self, prompt_T: Sequence[int], settings: SamplingSettings, held: Held
    ) -> Iterator[TokenDelta]:
        import torch

        device = self.model.device
        generator = torch.Generator(device=device).manual_seed(settings.seed)
        watch = StopStrings(settings.stop, self.codec)
        ids_T = list(prompt_T[len(held.tokens) :])
        for count in range(1, settings.max_tokens + 1):
            logits_V = self._forward(ids_T, held)
            token = sample(logits_V, settings, generator)
            finish = self._finish(token, watch, last=count == settings.max_tokens)
            yield TokenDelta(token, finish)
            if finish:
                return
            ids_T = [token]

    def _forward(self, ids_T: list[int], held: Held) -> torch.Tensor:
        """Logits [V] behind the last token; long prompts go through in chunks.

        `held.tokens` grows by what was computed in full, so that an interrupt leaves it true.
        """
        import torch

        ids_1T = torch.tensor([ids_T], device=self.model.device)
        for chunk in torch.split(ids_1T, PREFILL_TOKENS, dim=1):
            logits_V = self._step(chunk, held.cache)
            held.tokens += chunk[0].tolist()
        self.prefixes.trim()
        return logits_V

    def _step(self, ids_1T: torch.Tensor, cache: Any) -> torch.Tensor:
        """Logits [V] behind the last of `ids_1T` [1, T]; the cache grows by T."""
        import torch

        with torch.no_grad():
            out = self.model(ids_1T, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[0, -1]  # type: ignore[no-any-return]

    def _finish(self, token: int, watch: StopStrings, *, last: bool) -> str | None:
        if token == self.codec.special["return"]:
            return "return"
        if token == self.codec.special["call"]:
            return "call"
        if watch.hit(token):
            return "stop"
        return "length" if last else None


class StopStrings:
    """Watches the text since the last special token for any of the stop strings."""

    def __init__(self, stop: tuple[str, ...], codec: HarmonyCodec) -> None:
        self.stop = [text.encode() for text in stop]
        self.codec, self.tail = codec, b""
        self.longest = max(map(len, self.stop), default=0)
        self.special = frozenset(codec.special.values())

    def hit(self, token: int) -> bool:
        """True where `token` completes a stop string."""
        if not self.stop:
            return False
        if token in self.special:
            self.tail = b""
            return False
        piece = self.codec.token_bytes(token)
        self.tail = self.tail[-self.longest :] + piece
        return any(text in self.tail for text in self.stop)
