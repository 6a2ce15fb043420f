"""What the control panel shows of the model, and what its selects offer: plain dicts, as JSON."""

from __future__ import annotations

from typing import Any, TypedDict


class _Work(TypedDict):
    model: str | None
    working: str


class ModelState(_Work, total=False):
    """The model and what it does now; all keys but `model` and `working` come with a model.

    `memory` in bytes, `context` and `used` in tokens, `tokens_per_s` of the last answer.
    """

    device: str
    memory: int
    context: int
    used: int
    tokens_per_s: float
    greedy: bool


class PanelState(ModelState, total=False):
    """The same, and settings by name that the persona in use `says` instead of the panel."""

    says: dict[str, Any]


class PanelChoices(TypedDict, total=False):
    """Names of indexes, personas and presets, and each attached adapter's scale."""

    rag: list[str]
    persona: list[str]
    adapters: dict[str, float]
    presets: list[str]
