"""Who shares the work of a step: one process alone, or the ranks of a launched run.

A step's loss and gradients are normalised over the trained tokens of the whole step, which every
rank knows, so that a sum over the ranks is what one process would have found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Example, RankStep

    Sequences = Sequence[Sequence[Example]]


class Team(Protocol):
    """What the trainer asks of the ranks; every rank asks the same in the same order."""

    def begin_step(self) -> None:
        """A step begins: forget what was counted before."""

    def share(self, sequences: Sequences) -> Sequences:
        """The own part of `sequences`; the parts of all ranks are all of them."""

    def summed(self, value: float) -> float:
        """The sum of `value` over the ranks."""

    def sum_gradients(self, weights: Sequence[Any]) -> None:
        """Let each weight's gradient be the sum over the ranks; none where no rank has one."""

    def clip(self, weights: Sequence[Any], most: float) -> float:
        """The norm of all gradients, which is at most `most` afterwards."""

    def told(self, mine: RankStep) -> tuple[RankStep, ...]:
        """What each rank did of the step, in the ranks' order; () for one process alone."""

    def whole(self, weight: Any, mine: Any) -> Any:
        """All of a tensor of which this process has the part that it has of `weight`."""


class Alone:
    """One process: all of the work is its own."""

    def begin_step(self) -> None:
        """Nothing is counted."""

    def share(self, sequences: Sequences) -> Sequences:
        """All of them."""
        return sequences

    def summed(self, value: float) -> float:
        """The value."""
        return value

    def sum_gradients(self, weights: Sequence[Any]) -> None:
        """They are the sum."""

    def clip(self, weights: Sequence[Any], most: float) -> float:
        """See `Team`."""
        import torch

        return float(torch.nn.utils.clip_grad_norm_(weights, most))

    def whole(self, weight: Any, mine: Any) -> Any:
        """What is there."""
        return mine

    def told(self, mine: RankStep) -> tuple[RankStep, ...]:
        """Nothing that the step's own metrics do not say."""
        return ()
