"""Whole texts, unseen by each other: by C++ steps of many tokens on a CPU, else module by module.

Losses, routing and drift read them; those steps take less than half the time of a forward.
Legend: W wanted tokens, H hidden size.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from gptoss_magic.model.attention import side_by_side
from gptoss_magic.model.kv_cache import KVCache
from gptoss_magic.model.packs import packs
from gptoss_magic.model.rows_cache import RowsCache
from gptoss_magic.model.step import FEW, DecodeStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import Model


def read(
    model: Model,
    texts: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[int]],
    *,
    by_modules: bool = False,
) -> torch.Tensor:
    """States [W, H], as the head reads them, of the tokens `wanted` of each text (indices into it).

    Routers' watchers are told of every token. `by_modules`: also where steps could read them.
    """
    states_WH = None if by_modules else by_steps(model, texts, wanted)
    if states_WH is not None:
        return states_WH
    given = side_by_side(texts, model.device)
    hidden = model.get_decoder()(**given, use_cache=False).last_hidden_state[0]
    firsts = accumulate(map(len, texts[:-1]), initial=0)
    places = [at + first for first, own in zip(firsts, wanted, strict=True) for at in own]
    return hidden[torch.tensor(places, dtype=torch.long, device=model.device)]  # type: ignore[no-any-return]


def by_steps(
    model: Model, texts: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]
) -> torch.Tensor | None:
    """As `read`; None where it has to go module by module.

    That is with gradients, on a GPU, beside what is no plain LoRA, and where a step takes few
    tokens only.
    """
    if torch.is_grad_enabled():
        return None
    step = DecodeStep(model)
    if step.most <= FEW or step.why_not(1):
        return None
    lengths = [len(text) for text in texts]
    states = [torch.empty(0, model.config.hidden_size, dtype=model.dtype)]
    for pack in packs(lengths, step.most):
        longest = max(lengths[number] for number in pack)
        cache = RowsCache(model.config, len(pack), longest)
        cache.join(len(pack), KVCache(model.config), 0)
        for start in range(0, longest, step.most):  # only a text alone takes more than one
            pieces = [texts[number][start : start + step.most] for number in pack]
            firsts = accumulate(map(len, pieces[:-1]), initial=-start)
            asked = [
                first + place
                for first, number in zip(firsts, pack, strict=True)
                for place in wanted[number]
                if start <= place < start + step.most
            ]
            states.append(step.states(cache.fed(0, pieces, model.dtype), asked))
            cache.lengths = [start + len(piece) for piece in pieces]
    return torch.cat(states)
