"""Trained keys and values before every prompt (prefix tuning, arXiv 2101.00190).

Legend: L layers, n positions, D head size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from gptoss_magic.model.parts.part import Part
from gptoss_magic.model.peft_layout import prefix_from_peft, prefix_to_peft
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import torch

    from gptoss_magic.model.protocol import Model, ModelConfig


class Prefix(Part):
    """States [L, 2, heads, n, D]."""

    is_soft: ClassVar[bool] = True
    family = "prefix"

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__("model")
        self.states = nn.Parameter(states)

    def attach(self, model: Model) -> Callable[[], None]:
        return lambda: None  # a cache is filled instead

    def __len__(self) -> int:
        return self.states.shape[3]

    def fill(self, model: Model, cache: Any) -> None:
        """Let `cache`, an empty one, begin with these keys and values."""
        for layer, (keys, values) in enumerate(self.states.to(model.dtype)):
            cache.update(keys[None].to(model.device), values[None].to(model.device), layer)

    @classmethod
    def summary(cls, parts: Sequence[Prefix]) -> Iterator[str]:
        """`prefix of 5 positions in 2 layers`."""
        for part in parts:
            layers = counted(len(part.states), "layer")
            yield f"prefix of {counted(len(part), 'position')} in {layers}"

    def soft_config(self) -> dict[str, Any]:
        layers, _, heads, length, size = self.states.shape
        return {
            "peft_type": "PREFIX_TUNING",
            "num_virtual_tokens": length,
            "token_dim": heads * size,
            "num_attention_heads": heads,
            "num_layers": layers,
            "num_transformer_submodules": 1,
            "encoder_hidden_size": heads * size,
            "prefix_projection": False,
        }

    def peft_tensors(self, model: Model, keys: Collection[str]) -> dict[str, torch.Tensor]:
        return {"prompt_embeddings": prefix_to_peft(self.states.detach())}

    @classmethod
    def width(cls, config: ModelConfig) -> int:
        """Numbers of one position in peft's file."""
        return int(config.num_hidden_layers * 2 * config.num_key_value_heads * config.head_dim)

    @classmethod
    def from_peft(cls, flat: torch.Tensor, config: ModelConfig) -> Prefix:
        """The part of `prompt_embeddings` [n, width]."""
        return cls(prefix_from_peft(flat, config.num_hidden_layers, config.head_dim))
