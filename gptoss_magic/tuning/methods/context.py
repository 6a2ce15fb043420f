"""What a method may look at when it makes its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records import Example


@dataclass(frozen=True)
class Context:
    """`settings`: the method's own; `sequences`: training data.

    `hot[layer]`: experts that the data uses most, hottest first.
    """

    settings: Any
    seed: int = 0
    hot: Sequence[Sequence[int]] = ()
    sequences: Sequence[Sequence[Example]] = ()

    @property
    def scaling(self) -> float:
        """The factor of a branch: alpha / rank."""
        return float(self.settings.alpha / self.settings.rank)


def last_layers(model: Model, num_layers: int) -> list[int]:
    """Indices of the last `num_layers` layers; all where it is 0. Raises InputError."""
    total = model.config.num_hidden_layers
    if num_layers > total:
        raise InputError(f"{num_layers} layers: the model has {total}; give fewer")
    return list(range(total - (num_layers or total), total))
