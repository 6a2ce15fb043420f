"""Seeded sampling of one token. Legend: V vocabulary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are chosen and when to stop.

    temperature 0 is greedy; top_p in (0, 1]; top_k 0 keeps all; max_tokens counts new tokens;
    `stop` are strings that end the answer and are cut from it.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks = (
            (self.temperature >= 0, f"temperature {self.temperature}: give 0 (greedy) or more"),
            (0 < self.top_p <= 1, f"top-p {self.top_p}: give a share above 0 and up to 1"),
            (self.top_k >= 0, f"top-k {self.top_k}: give 0 (all tokens) or more"),
            (self.max_tokens >= 1, f"max tokens {self.max_tokens}: give 1 or more"),
            (0 <= self.seed < 2**63, f"seed {self.seed}: give a whole number from 0 to 2^63 - 1"),
            (all(self.stop), "a stop string is empty: give at least one character"),
        )
        for good, message in checks:
            if not good:
                raise InputError(message)

    def record(self) -> dict[str, Any]:
        """The settings as plain JSON values, for provenance."""
        return {**asdict(self), "stop": list(self.stop)}


def sample(logits_V: torch.Tensor, settings: SamplingSettings, generator: torch.Generator) -> int:
    """Draw one token id: temperature, then top-k, then top-p (nucleus, arXiv 1904.09751)."""
    logits_V = logits_V.float()
    if settings.temperature == 0:
        return int(logits_V.argmax())
    probabilities_V = _truncated(logits_V / settings.temperature, settings).softmax(-1)
    return int(probabilities_V.multinomial(1, generator=generator))


def _truncated(logits_V: torch.Tensor, settings: SamplingSettings) -> torch.Tensor:
    if 0 < settings.top_k < logits_V.numel():
        least = logits_V.topk(settings.top_k).values[-1]
        logits_V = logits_V.masked_fill(logits_V < least, float("-inf"))
    if settings.top_p < 1:
        sorted_V, order_V = logits_V.sort(descending=True)
        before_V = sorted_V.softmax(-1).cumsum(-1) - sorted_V.softmax(-1)
        drop_V = before_V >= settings.top_p
        drop_V[0] = False
        logits_V = logits_V.index_fill(-1, order_V[drop_V], float("-inf"))
    return logits_V
