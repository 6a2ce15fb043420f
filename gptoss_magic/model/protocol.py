"""What the rooms use of the transformers model, for type checks; nothing is imported at run time.

`transformers.GptOssForCausalLM` as `model.load` makes it resident is one, and so is the tiny model
of `gptoss_magic.testing`. What a call or a module gives back stays transformers' own, untyped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class ModelConfig(Protocol):
    """Sizes of a gpt-oss model; `layer_types` says for each layer whether its window slides."""

    num_hidden_layers: int
    num_local_experts: int
    num_experts_per_tok: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    hidden_size: int
    intermediate_size: int
    vocab_size: int
    sliding_window: int
    max_position_embeddings: int
    layer_types: Sequence[str]
    pad_token_id: int | None
    swiglu_alpha: float
    swiglu_limit: float
    tie_word_embeddings: bool
    name_or_path: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""


class Model(Protocol):
    """A causal language model of one device: called with ids [B, T] it gives logits [B, T, V]."""

    config: ModelConfig
    generation_config: Any

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Forward; gives `logits` and what else was asked for."""

    def get_decoder(self) -> Any:
        """The decoder: `embed_tokens`, `layers` and `norm`, without the output head."""

    def get_input_embeddings(self) -> Any:
        """The embedding of token ids."""

    def get_output_embeddings(self) -> Any:
        """The output head: hidden states [N, H] in, logits [N, V] out."""

    def get_submodule(self, target: str) -> Any:
        """The module of a dotted name. Raises AttributeError."""

    def modules(self) -> Iterator[Any]:
        """All modules, itself first."""

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        """All modules with their dotted names."""

    def eval(self) -> Any:
        """Leave training mode."""

    def activation_checkpointing_enable(self, options: dict[str, Any]) -> Any:
        """Compute each layer again in the backward."""

    def activation_checkpointing_disable(self) -> Any:
        """Keep what the layers compute."""

    def set_attn_implementation(self, name: str) -> Any:
        """Use the attention of this name."""

    def train(self, mode: bool = True) -> Any:
        """Enter training mode."""
