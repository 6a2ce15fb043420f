"""What all kinds of parts of an adapter have, and can be asked. A caller never asks the class.

A part is an `nn.Module` with its own fp32 parameters; `attach(model)` puts it beside the module
named `target` and gives back what takes it away again. Base weights are never touched.
Legend: E experts, K in, N out, r rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from gptoss_magic.model.peft_layout import PeftEntry
    from gptoss_magic.model.protocol import Model

PROJECTIONS = ("gate_up_proj", "down_proj")


class Part(nn.Module):
    """The module it stands beside, the adapter's scale (1: as trained), and all verbs' defaults.

    `SETTINGS`: its attributes that are no tensors, as values for JSON.
    `family`: kinds of one family are told together, by `summary`.
    `is_soft`: it stands before the prompt, fills a cache (`fill`) and has a length.
    `is_in_peft`: peft's format has a place for it; what has none is in our own file alone.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ()
    family: ClassVar[str] = ""
    is_soft: ClassVar[bool] = False
    is_in_peft: ClassVar[bool] = True

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target, self.scale = target, 1.0

    def attach(self, model: Model) -> Callable[[], None]:
        """Put it beside its target; the result takes it away."""
        raise NotImplementedError

    @property
    def num_parameters(self) -> int:
        """How many numbers it has."""
        return sum(p.numel() for p in self.parameters())

    @property
    def settings(self) -> dict[str, Any]:
        """Values of `SETTINGS` by name."""
        return {name: getattr(self, name) for name in self.SETTINGS}

    @property
    def outer(self) -> list[nn.Parameter]:
        """The parameters that make it nothing where they are zero."""
        return list(self.parameters())

    @property
    def trained_experts(self) -> tuple[int, ...]:
        """The experts of its target that it changes."""
        return ()

    @property
    def replaced_experts(self) -> tuple[int, ...]:
        """Those whose own weights it stands in for; such a part is attached and merged first."""
        return ()

    @classmethod
    def summary(cls, parts: Sequence[Any]) -> Iterator[str]:
        """What all parts of its family in one adapter are, in words."""
        raise NotImplementedError

    def peft_entry(self) -> PeftEntry | None:
        """What it adds to a LoRA adapter's config; None where it has another kind of config."""
        return None

    def soft_config(self) -> dict[str, Any]:
        """The kind's own fields of adapter_config.json, for what stands before the prompt."""
        raise NotImplementedError

    def peft_tensors(self, model: Model, keys: Collection[str]) -> dict[str, torch.Tensor]:
        """Its tensors in peft's file; `keys` are those of the whole adapter's entries."""
        return {}

    def own_tensors(self) -> dict[str, torch.Tensor]:
        """What peft's file cannot say exactly, for our own file."""
        return {}

    def merged(self, leaf: str, value: torch.Tensor, scale: float) -> torch.Tensor:
        """`value` (fp32, a module's weight or bias by `leaf`) with the part added at `scale`."""
        return value

    def merged_expert(
        self, projection: str, expert: int, pair: tuple[torch.Tensor, torch.Tensor], scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(W [N, K], bias [N]) of one expert, fp32, with the part added at `scale`."""
        return pair


def stand_in(branches: list[Any], part: Part) -> Callable[[], None]:
    """Put `part` among the branches of a router or of experts; the result takes it away."""
    branches.append(part)
    return lambda: branches.remove(part)


def kaiming(*shape: int) -> nn.Parameter:
    """A [r, K] as peft's: Kaiming-uniform with a = √5, which is U(-1/√K, 1/√K)."""
    bound = shape[-1] ** -0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
