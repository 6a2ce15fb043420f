"""How likely the model finds an answer. Legend: T tokens, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.generation.protocol import Engine


def log_likelihood(engine: Engine, prompt_T: Sequence[int], answer_T: Sequence[int]) -> float:
    """Mean log-likelihood of `answer_T` behind `prompt_T`, in nats a token; 0 for no token.

    Raises ContextOverflow, InputError.
    """
    if not engine.capabilities.scores:
        raise InputError(
            "this model's engine gives no log-probabilities of a text that is given; load a "
            "model in this kernel (%gptoss load)"
        )
    return sum(engine.score(prompt_T, answer_T)) / max(1, len(answer_T))
