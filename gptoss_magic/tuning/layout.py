"""Parts as plain values and tensors, and back: what a checkpoint needs to make them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError
from gptoss_magic.tuning.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def layout(parts: Sequence[Any]) -> list[dict[str, Any]]:
    """For each part its kind, its settings and the shapes of its tensors; JSON-safe."""
    return [
        {
            "kind": type(part).__name__,
            "target": part.target,
            **part.settings,
            "frozen": not any(p.requires_grad for p in part.parameters()),
            "shapes": {name: list(t.shape) for name, t in part.state_dict().items()},
        }
        for part in parts
    ]


def revive(described: Sequence[Mapping[str, Any]], device: Any) -> list[Any]:
    """Parts of zeros as `layout` described them. Raises CheckpointError for an unknown kind."""
    return [_part(one).requires_grad_(not one["frozen"]).to(device) for one in described]


def _part(one: Mapping[str, Any]) -> Any:
    import torch

    from gptoss_magic.model import parts as b

    zeros = {name: torch.zeros(shape) for name, shape in one["shapes"].items()}
    target, kind = one["target"], one["kind"]
    if kind in ("LinearLora", "RouterLora"):
        return getattr(b, kind)(target, zeros["a"], zeros["b"], one["scaling"])
    if kind == "ExpertLora":
        ab = (zeros["a"], zeros["b"])
        return b.ExpertLora(target, one["projection"], one["experts"], ab, one["scaling"])
    if kind == "RouterDelta":
        return b.RouterDelta(target, zeros["weight"], zeros["bias"])
    if kind == "ExpertWeights":
        return b.ExpertWeights(target, one["expert"], zeros)
    if kind in ("SoftPrompt", "Prefix"):
        return getattr(b, kind)(next(iter(zeros.values())))
    for method in METHODS.values():
        if kind in method.parts:
            return method.parts[kind](one, zeros)
    raise CheckpointError(f"{kind}: no such part; made by a newer gptoss_magic?; upgrade it")
