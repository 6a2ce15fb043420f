"""What adapters are made of, and train: one kind of part a file, with all its verbs.

A new kind is one file, and a line in `FAMILIES` where none of these is its family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.model.parts.expert_lora import ExpertLora
from gptoss_magic.model.parts.expert_weights import ExpertWeights
from gptoss_magic.model.parts.low_rank import LinearLora, LowRank, RouterLora
from gptoss_magic.model.parts.part import PROJECTIONS, Part, kaiming
from gptoss_magic.model.parts.prefix import Prefix
from gptoss_magic.model.parts.router_delta import RouterDelta
from gptoss_magic.model.parts.soft_prompt import SoftPrompt
from gptoss_magic.model.parts.whole_module import WholeModule, dense_experts, own_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import Model

FAMILIES = (  # as they are told
    *("lora", "expert lora", "router", "expert", "soft prompt", "prefix", "whole"),
)

__all__ = [
    "FAMILIES",
    "PROJECTIONS",
    "ExpertLora",
    "ExpertWeights",
    "LinearLora",
    "LowRank",
    "Part",
    "Prefix",
    "RouterDelta",
    "RouterLora",
    "SoftPrompt",
    "WholeModule",
    "dense_experts",
    "kaiming",
    "lora_kinds",
    "own_weights",
    "summaries",
]


def lora_kinds(model: Model) -> dict[str, Any]:
    """Which kind of LoRA can stand beside which module, by the modules' names."""
    kinds = (LinearLora, RouterLora, ExpertLora)
    return {
        name: kind for name, module in model.named_modules() for kind in kinds if kind.fits(module)
    }


def summaries(parts: Sequence[Part]) -> list[str]:
    """What the parts of one adapter are, a phrase for each family or more."""
    told: list[str] = []
    for family in FAMILIES:
        members = [part for part in parts if part.family == family]
        if members:
            told += members[0].summary(members)
    return told
