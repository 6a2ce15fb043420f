"""How likely the model finds an answer. Legend: T tokens, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.generation.protocol import Engine


def log_likelihood(engine: Engine, prompt_T: Sequence[int], answer_T: Sequence[int]) -> float:
    """Mean log-likelihood of `answer_T` behind `prompt_T`, in nats a token; 0 for no token.

    Raises ContextOverflow, InputError.
    """
    return sum(engine.score(prompt_T, answer_T)) / max(1, len(answer_T))
