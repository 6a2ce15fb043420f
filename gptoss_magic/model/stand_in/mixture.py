"""The built-in model's experts: each is the dense MLP and a low-rank difference from it.

Tuned apart and put together as Branch-Train-MiX does (arXiv 2403.07816); `tools/stand_in/mix.py`
makes the files. Legend: E experts, R rank, I what a projection reads, O what it gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gptoss_magic.model.stand_in.source import DATA

if TYPE_CHECKING:
    from pathlib import Path

    import torch

PROJECTIONS = ("gate", "up", "down")
EXPERTS, ROUTERS = "experts.safetensors", "routers.safetensors"


class Factors(NamedTuple):
    """Of one projection of one layer: `a` [E, R, I], `b` [E, O, R]. Expert e has W + b[e]·a[e]."""

    a: torch.Tensor
    b: torch.Tensor

    def added_to(self, weight_OI: torch.Tensor) -> torch.Tensor:
        """The experts' weights [E, O, I], fp32."""
        return weight_OI.float() + self.b.float() @ self.a.float()


class Mixture(NamedTuple):
    """`factors` by (layer, projection); `routers` by layer: weight [E, hidden] and bias [E]."""

    factors: dict[tuple[int, str], Factors]
    routers: list[tuple[torch.Tensor, torch.Tensor]]


def read_mixture(folder: Path = DATA) -> Mixture:
    """Of `experts.safetensors` (`LAYER.gate.a`, `LAYER.gate.b`, …) and `routers.safetensors`."""
    from safetensors.torch import load_file

    stored, routers = load_file(folder / EXPERTS), load_file(folder / ROUTERS)
    layers = range(len(routers) // 2)
    factors = {
        (layer, name): Factors(stored[f"{layer}.{name}.a"], stored[f"{layer}.{name}.b"])
        for layer in layers
        for name in PROJECTIONS
    }
    return Mixture(factors, [(routers[f"{i}.weight"], routers[f"{i}.bias"]) for i in layers])


def write_mixture(mixture: Mixture, folder: Path) -> None:
    """The two files, factors in bf16 and routers in fp32."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    stored = {}
    for (layer, name), both in mixture.factors.items():
        for part, tensor in zip("ab", both, strict=True):
            stored[f"{layer}.{name}.{part}"] = tensor.detach().to(torch.bfloat16).contiguous()
    save_file(stored, folder / EXPERTS)
    routers = {}
    for layer, pair in enumerate(mixture.routers):
        for name, tensor in zip(("weight", "bias"), pair, strict=True):
            routers[f"{layer}.{name}"] = tensor.detach().float().contiguous()
    save_file(routers, folder / ROUTERS)
