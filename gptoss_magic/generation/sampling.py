"""Seeded sampling of the next token of one row or many. Legend: B rows, V vocabulary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

LOOKUP = 4
LIKELIEST = 1024  # sorted first where top-p asks for an order


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are chosen and when to stop.

    temperature 0 is greedy; top_p in (0, 1]; top_k 0 keeps all; max_tokens counts new tokens;
    `stop` are strings that end the answer and are cut from it. `lookup`: a greedy answer drafts
    up to so many tokens from the text before it, 0 for none; the tokens are the same.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    seed: int = 0
    stop: tuple[str, ...] = ()
    lookup: int = LOOKUP

    def __post_init__(self) -> None:
        checks = (
            (self.temperature >= 0, f"temperature {self.temperature}: give 0 (greedy) or more"),
            (0 < self.top_p <= 1, f"top-p {self.top_p}: give a share above 0 and up to 1"),
            (self.top_k >= 0, f"top-k {self.top_k}: give 0 (all tokens) or more"),
            (self.max_tokens >= 1, f"max tokens {self.max_tokens}: give 1 or more"),
            (0 <= self.seed < 2**63, f"seed {self.seed}: give a whole number from 0 to 2^63 - 1"),
            (self.lookup >= 0, f"lookup {self.lookup}: give 0 (no drafts) or more"),
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
    return sample_rows(logits_V[None], settings, [generator])[0]


def sample_rows(
    logits_BV: torch.Tensor, settings: SamplingSettings, generators: Sequence[torch.Generator]
) -> list[int]:
    """One token id a row, each drawn with its own generator; one wait for the device in all."""
    import torch

    logits_BV = logits_BV.float()
    if settings.temperature == 0:
        return logits_BV.argmax(-1).tolist()  # type: ignore[no-any-return]
    probabilities_BV = _truncated(logits_BV / settings.temperature, settings).softmax(-1)
    drawn = [
        row.multinomial(1, generator=generator)
        for row, generator in zip(probabilities_BV, generators, strict=True)
    ]
    return torch.cat(drawn).tolist()  # type: ignore[no-any-return]


def _truncated(logits_BV: torch.Tensor, settings: SamplingSettings) -> torch.Tensor:
    size = logits_BV.shape[-1]
    if 0 < settings.top_k < size:
        least_B1 = logits_BV.topk(settings.top_k).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least_B1, float("-inf"))
    if settings.top_p < 1:
        logits_BV = _nucleus(logits_BV, settings.top_p, min(size, LIKELIEST))
    return logits_BV


def _nucleus(logits_BV: torch.Tensor, top_p: float, num: int) -> torch.Tensor:
    """Keep the likeliest tokens up to the share `top_p`; the `num` likeliest nearly always do."""
    values_BN, order_BN = logits_BV.topk(num)
    shares_BN = (values_BN - logits_BV.logsumexp(-1, keepdim=True)).exp()
    before_BN = shares_BN.cumsum(-1) - shares_BN
    if num < logits_BV.shape[-1] and bool((before_BN[:, -1] < top_p).any()):
        return _nucleus(logits_BV, top_p, logits_BV.shape[-1])
    kept_BN = values_BN.masked_fill(before_BN >= top_p, float("-inf"))
    kept_BN[:, 0] = values_BN[:, 0]
    return logits_BV.new_full(logits_BV.shape, float("-inf")).scatter(-1, order_BN, kept_BN)
