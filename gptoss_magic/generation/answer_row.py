"""One answer in the making: what it draws with, its tokens, and when it ends."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import encodable
from gptoss_magic.records import SamplingSettings, TokenDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.generation.guide import Grammar, Guide
    from gptoss_magic.harmony import HarmonyCodec


class AnswerRow:
    """The generator is seeded once a row, so that a row draws alike in any company."""

    def __init__(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        codec: HarmonyCodec,
        device: Any,
        index: int = 0,
        *,
        grammar: Grammar | None = None,
    ) -> None:
        import torch

        self.prompt_T, self.settings, self.index = prompt_T, settings, index
        self.grammar = grammar
        self.generator = torch.Generator(device=device).manual_seed(settings.seed)
        self.special = codec.special
        self.watch = StopStrings(settings.stop, codec)
        self.last, self.num_new, self.num_true = prompt_T[-1], 0, 0

    @cached_property
    def guide(self) -> Guide | None:
        """Started when the first token is asked for: rows that wait hold none."""
        return None if self.grammar is None else self.grammar.start()

    def bar(self, logits_V: torch.Tensor) -> None:
        """Put -inf, in place, where the guide lets a token not come next."""
        if self.guide is not None:
            self.guide.bar(logits_V)

    def keep(self, token: int) -> None:
        """A token of the answer that stands already, as the prompt's last ones."""
        if self.guide is not None:
            self.guide.take(token)
        if self.watch.hit(token):
            self.watch.tail = b""

    def take(
        self, token: int, logprob: float, top: tuple[tuple[int, float], ...] = ()
    ) -> TokenDelta:
        """Add one token and say whether it is the last."""
        if self.guide is not None:
            self.guide.take(token)
        self.last = token
        self.num_new += 1
        return TokenDelta(token, self._finish(token), logprob, top)

    def _finish(self, token: int) -> str | None:
        if token == self.special["return"]:
            return "return"
        if token == self.special["call"]:
            return "call"
        if self.watch.hit(token):
            return "stop"
        return "length" if self.num_new == self.settings.max_tokens else None


class StopStrings:
    """Watches the text since the last special token for any of the stop strings."""

    def __init__(self, stop: tuple[str, ...], codec: HarmonyCodec) -> None:
        self.stop = [encodable(text).encode() for text in stop]
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
