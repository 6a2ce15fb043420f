"""Trained embeddings in front of every prompt (prompt tuning, arXiv 2104.08691).

Legend: n virtual tokens, H hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from gptoss_magic.model.given_cache import given_cache
from gptoss_magic.model.parts.part import Part
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import torch

    from gptoss_magic.model.protocol import Model, ModelConfig


class SoftPrompt(Part):
    """Embeddings [n, H]."""

    is_soft: ClassVar[bool] = True
    family = "soft prompt"

    def __init__(self, embeddings_nH: torch.Tensor) -> None:
        super().__init__("model.embed_tokens")
        self.embeddings = nn.Parameter(embeddings_nH)

    def attach(self, model: Model) -> Callable[[], None]:
        return lambda: None  # a cache is filled instead

    def __len__(self) -> int:
        return len(self.embeddings)

    def fill(self, model: Model, cache: Any) -> None:
        """Let `cache`, an empty one, begin with the keys and values of these positions."""
        dtype = model.get_input_embeddings().weight.dtype
        model.get_decoder()(
            inputs_embeds=self.embeddings[None].to(dtype), **given_cache(cache), use_cache=True
        )

    @classmethod
    def summary(cls, parts: Sequence[SoftPrompt]) -> Iterator[str]:
        """`soft prompt of 4 virtual tokens`."""
        for part in parts:
            yield f"soft prompt of {counted(len(part), 'virtual token')}"

    def soft_config(self) -> dict[str, Any]:
        return {
            "peft_type": "PROMPT_TUNING",
            "num_transformer_submodules": 1,
            "num_virtual_tokens": len(self),
            "token_dim": self.embeddings.shape[1],
        }

    def peft_tensors(self, model: Model, keys: Collection[str]) -> dict[str, torch.Tensor]:
        return {"prompt_embeddings": self.embeddings.detach()}

    @classmethod
    def width(cls, config: ModelConfig) -> int:
        """Numbers of one virtual token in peft's file."""
        return int(config.hidden_size)

    @classmethod
    def from_peft(cls, flat: torch.Tensor, _config: ModelConfig) -> SoftPrompt:
        """The part of `prompt_embeddings` [n, width]."""
        return cls(flat)
