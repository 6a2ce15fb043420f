"""The parts of `model.parts` by the name that tuning/ and the tests import them under."""

from gptoss_magic.model.parts import (
    PROJECTIONS,
    ExpertLora,
    ExpertWeights,
    LinearLora,
    LowRank,
    Part,
    Prefix,
    RouterDelta,
    RouterLora,
    SoftPrompt,
    kaiming,
)

__all__ = [
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
    "kaiming",
]
