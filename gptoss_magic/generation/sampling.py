"""Seeded sampling of the next token of one row or many. Legend: B rows, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.records import SamplingSettings

LIKELIEST = 1024  # sorted first where top-p asks for an order


def sample(logits_V: torch.Tensor, settings: SamplingSettings, generator: torch.Generator) -> int:
    """Draw one token id: temperature, then top-k, then top-p (nucleus, arXiv 1904.09751)."""
    return sample_rows(logits_V[None], settings, [generator])[0][0]


def sample_rows(
    logits_BV: torch.Tensor,
    settings: SamplingSettings,
    generators: Sequence[torch.Generator],
    totals_B: torch.Tensor | None = None,
) -> tuple[list[int], list[float]]:
    """(token ids, their log-probabilities), one a row, each drawn with its own generator.

    `totals_B`: each row's logsumexp before anything was barred, which log-probabilities are
    measured against; None takes the logits as they are. One wait for the device in all.
    """
    import torch

    logits_BV = logits_BV.float()
    totals_B = logits_BV.logsumexp(-1) if totals_B is None else totals_B
    tokens_B = _drawn(logits_BV, settings, generators)
    scores_B = logits_BV.gather(1, tokens_B[:, None])[:, 0] - totals_B
    # a float32 holds each token id exactly
    tokens, scores = torch.stack([tokens_B.to(scores_B.dtype), scores_B]).tolist()
    return [int(token) for token in tokens], scores


def _drawn(
    logits_BV: torch.Tensor, settings: SamplingSettings, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Token ids [B]."""
    import torch

    if settings.temperature == 0:
        return logits_BV.argmax(-1)
    probabilities_BV = _truncated(logits_BV / settings.temperature, settings).softmax(-1)
    drawn = [
        row.multinomial(1, generator=generator)
        for row, generator in zip(probabilities_BV, generators, strict=True)
    ]
    return torch.cat(drawn)


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
