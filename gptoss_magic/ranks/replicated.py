"""Every rank holds the whole model and trains all parts on its share of the texts.

What is between the ranks: a sum of the gradients, once a step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import Example, RankStep
from gptoss_magic.tuning.team import Alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.ranks.group import RankGroup
    from gptoss_magic.ranks.load import ExpertLoad

NOTHING = float("nan")
FILLER_TOKENS = 8


class Replicated(Alone):
    """See `tuning.team.Team`. `load` counts where the texts' tokens go."""

    def __init__(self, group: RankGroup, load: ExpertLoad | None = None) -> None:
        self.group, self.load = group, load

    def begin_step(self) -> None:
        """Count routes anew."""
        if self.load is not None:
            self.load.forget()

    def share(self, sequences: Sequence[Sequence[Example]]) -> list[list[Example]]:
        """The own texts of them, see `shares`."""
        place = self.group.place
        return shares(sequences, place.size)[place.rank]

    def summed(self, value: float) -> float:
        """The sum of `value` over the ranks."""
        return self.group.summed(value)

    def sum_gradients(self, weights: Sequence[Any]) -> None:
        """See `Team`. A rank whose texts do not reach a weight adds nothing to its gradient."""
        import torch

        there = self.group.largest([float(weight.grad is not None) for weight in weights])
        reached = [weight for weight, is_there in zip(weights, there, strict=True) if is_there]
        for weight in reached:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self.group.sum_tensors([weight.grad for weight in reached])

    def told(self, mine: RankStep) -> tuple[RankStep, ...]:
        """What each rank did, in the ranks' order."""
        load = self.load.busiest() if self.load is not None else 0.0
        loss = NOTHING if mine.loss is None else mine.loss
        numbers = (mine.tokens, loss, mine.tokens_per_s, mine.memory, load)
        return tuple(_rank_step(one) for one in self.group.each(numbers))


class InStep(Replicated):
    """Ranks that meet within the layers: each has as many sequences, if need be without effect."""

    def share(self, sequences: Sequence[Sequence[Example]]) -> list[list[Example]]:
        """The own texts of them, see `even_shares`."""
        place = self.group.place
        return even_shares(sequences, place.size)[place.rank]


def _rank_step(numbers: Sequence[float]) -> RankStep:
    tokens, loss, speed, memory, load = numbers
    return RankStep(int(tokens), None if math.isnan(loss) else loss, speed, int(memory), load)


def shares(sequences: Sequence[Sequence[Example]], count: int) -> list[list[list[Example]]]:
    """The texts of a step in `count` parts of about as many tokens, each packed again.

    The same for the same step, whoever asks. Texts do not see each other, so that which of them
    share a sequence changes nothing but the order of adding; no sequence becomes longer than the
    longest was. A part may be empty.
    """
    if count == 1:
        return [[list(sequence) for sequence in sequences]]
    texts = [example for sequence in sequences for example in sequence]
    parts: list[list[Example]] = [[] for _ in range(count)]
    loads = [0] * count
    for text in sorted(texts, key=lambda one: -len(one.ids)):
        lightest = loads.index(min(loads))
        parts[lightest].append(text)
        loads[lightest] += len(text.ids)
    longest = max((sum(len(e.ids) for e in sequence) for sequence in sequences), default=0)
    return [packed(part, longest) for part in parts]


def even_shares(sequences: Sequence[Sequence[Example]], count: int) -> list[list[list[Example]]]:
    """`shares` with as many sequences each: a short text of which nothing is trained fills them."""
    parts = shares(sequences, count)
    most = max(len(part) for part in parts)
    if not most:
        return parts
    ids = min((e.ids for s in sequences for e in s), key=len)[:FILLER_TOKENS]
    filler = Example(ids, (False,) * len(ids))
    return [[*part, *([filler] for _ in range(most - len(part)))] for part in parts]


def packed(texts: Sequence[Example], most: int) -> list[list[Example]]:
    """First fit: sequences of at most `most` tokens."""
    found: list[list[Example]] = []
    for text in texts:
        place = next((s for s in found if sum(len(e.ids) for e in s) + len(text.ids) <= most), None)
        if place is None:
            found.append([text])
        else:
            place.append(text)
    return found
