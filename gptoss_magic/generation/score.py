"""How likely the model finds an answer. Legend: T tokens, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.generation.engine import Engine

PIECE = 64  # tokens whose logits are in memory at once


def log_likelihood(engine: Engine, prompt_T: Sequence[int], answer_T: Sequence[int]) -> float:
    """Mean log-likelihood of `answer_T` behind `prompt_T`, in nats a token; 0 for no token.

    What is in the caches is used. Raises ContextOverflow, InputError.
    """
    import torch

    engine.check(prompt_T, len(answer_T))
    held = engine.prefixes.take("", prompt_T)
    rest_T = prompt_T[len(held.tokens) : -1]
    if rest_T:
        engine.prefill(rest_T, held)
    fed_T, total = [prompt_T[-1], *answer_T[:-1]], 0.0
    for start in range(0, len(answer_T), PIECE):
        piece_T = fed_T[start : start + PIECE]
        logits_TV = engine.prefill(piece_T, held, len(piece_T)).float()
        said_T1 = torch.tensor(answer_T[start : start + PIECE], device=logits_TV.device)[:, None]
        total += float(logits_TV.log_softmax(-1).gather(1, said_T1).sum())
    return total / max(1, len(answer_T))
