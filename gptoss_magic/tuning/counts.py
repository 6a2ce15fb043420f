"""What a method's settings come to on a model: trained numbers, layers, kept activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning.methods import method_of
from gptoss_magic.tuning.shapes import layer_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.tuning.settings import MethodSettings


def num_parameters(
    config: dict[str, Any], settings: MethodSettings, experts: Sequence[int] | None = None
) -> int:
    """How many numbers are trained, from shapes alone.

    `experts`: how many are trained in each layer, where the routing was measured. Without it hot
    and random ones are an upper estimate. Of two stages the second is counted.
    """
    return method_of(settings).sizes.numbers(config, settings, experts)


def num_reached_layers(config: dict[str, Any], settings: MethodSettings) -> int:
    """Layers from the first trained one up: autograd keeps nothing of those below."""
    return method_of(settings).sizes.reached(config, settings)


def activation_bytes_per_token(
    config: dict[str, Any], settings: MethodSettings, *, num_layers: int | None = None
) -> int:
    """What autograd keeps of a token for the backward, the method's branches included.

    `num_layers`: of so many layers instead of all that the method reaches.
    """
    layers = num_reached_layers(config, settings) if num_layers is None else num_layers
    return layers * (layer_bytes(config) + method_of(settings).sizes.branch_bytes(config))
