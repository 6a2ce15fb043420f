"""What stands beside a model's layers now (LoRA, hooks, probes), for steps that are one call."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers.models.gpt_oss.modeling_gpt_oss import (
    GptOssAttention,
    GptOssDecoderLayer,
    GptOssMLP,
    GptOssRMSNorm,
)

from gptoss_magic.model.attention import NAME as ATTENTION
from gptoss_magic.model.experts import PackedExperts, ResidentExperts
from gptoss_magic.model.linear import ResidentLinear
from gptoss_magic.model.parts.expert_lora import ExpertLora
from gptoss_magic.model.parts.low_rank import LinearLora, RouterLora
from gptoss_magic.model.router import ResidentRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.model.protocol import Model

ROTARY = ("default", "linear", "yarn", "llama3")  # whose angles do not change with the length
PARTS = (
    *(GptOssDecoderLayer, GptOssAttention, GptOssMLP, GptOssRMSNorm),
    *(ResidentLinear, ResidentRouter, ResidentExperts, PackedExperts),
)


class StandingBy:
    """Looks up, at each call, what is attached to `model`; see `why_never` first."""

    def __init__(self, model: Model) -> None:
        decoder = model.get_decoder()
        self.routers: list[ResidentRouter] = [layer.mlp.router for layer in decoder.layers]
        self._taps = [layer.mlp.experts.taps for layer in decoder.layers]
        modules = [module for layer in decoder.layers for module in layer.modules()]
        modules += [decoder.norm, decoder.embed_tokens, model.get_output_embeddings()]
        self._hooks = [hooks for m in modules for hooks in (m._forward_hooks, m._forward_pre_hooks)]
        self._held = [
            (owner, name, value)
            for module in modules
            for owner in (module._modules, module._parameters)
            for name, value in owner.items()
        ]
        self.weights = [v for _, _, v in self._held if isinstance(v, nn.Parameter)]

    def parts(self) -> list[Any]:
        """The LoRA of each hook and branch; None for everything else."""
        return [_part(beside) for beside in self._all()]

    def key(self) -> list[Any]:
        """What changes where any weight, part or scale does: ids, addresses and scales."""
        parts = self.parts()
        places = [weight.data_ptr() for weight in self.weights]
        places += [value.data_ptr() for part in parts for value in (part.a, part.b)]
        return [*map(id, parts), *places, *(part.scaling * part.scale for part in parts)]

    def why_not(self) -> str:
        """What stands beside the model, or in a module's place, that is no LoRA; '' for nothing."""
        if any(owner.get(name) is not value for owner, name, value in self._held):
            return "a module or weight of the model was replaced"
        return next((why for why in map(_why_no_lora, self._all()) if why), "")

    def _all(self) -> Iterator[Any]:
        """All that is attached: hooks, branches, probes, and who watches the experts."""
        yield from chain.from_iterable(hooks.values() for hooks in self._hooks if hooks)
        for router, taps in zip(self.routers, self._taps, strict=True):
            yield from router.branches
            yield from taps.branches
            yield from (tap for tap in (router.probe, taps.watch) if tap is not None)


def why_never(model: Model) -> str:
    """What of the model's make no step of one call can take, on any device; '' where nothing is."""
    config: Any = model.config
    rotary = config.rope_parameters.get("rope_type", "default")
    if rotary not in ROTARY:
        return f"rotary embeddings of type {rotary!r} change with the length"
    if config._attn_implementation != ATTENTION:
        return f"attention is {config._attn_implementation!r}"
    for layer in model.get_decoder().layers:
        other = next((m for m in layer.modules() if not isinstance(m, PARTS)), None)
        if other is not None:
            return f"a layer has a {type(other).__name__}"
    return ""


def _part(beside: Any) -> Any:
    """The LoRA that a hook or a branch is of; None for everything else."""
    if getattr(beside, "__func__", None) is LinearLora._beside:
        beside = beside.__self__
    return beside if isinstance(beside, (LinearLora, RouterLora, ExpertLora)) else None


def _why_no_lora(beside: Any) -> str:
    if _part(beside) is None:
        return f"{getattr(beside, 'family', '') or 'a hook or probe'} stands beside the model"
    return ""
