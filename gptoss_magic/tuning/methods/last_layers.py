"""LoRA on attention and on every expert of the last layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning.methods import context as contexts
from gptoss_magic.tuning.methods.experts import expert_parts
from gptoss_magic.tuning.methods.lora import attention_parts

if TYPE_CHECKING:
    from gptoss_magic.tuning.methods.context import Context

DEFAULT = 2


def apply(model: Any, context: Context) -> list[Any]:
    """Parts of the last `num_layers` layers (two where it is 0)."""
    layers = contexts.last_layers(model, context.settings.num_layers or DEFAULT)
    every = list(range(model.config.num_local_experts))
    return [
        *attention_parts(model, context, layers),
        *expert_parts(model, context, dict.fromkeys(layers, every)),
    ]
