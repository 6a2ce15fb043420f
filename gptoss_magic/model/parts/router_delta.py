"""A router trained in full, as its difference from the base.

Legend: T tokens, E experts, H hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

from gptoss_magic.model.parts.part import Part, stand_in
from gptoss_magic.model.peft_layout import BASE, PeftEntry
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import torch

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.model.router import ResidentRouter


class RouterDelta(Part):
    """Logits += D x + d; D [E, H], d [E]."""

    family = "router"

    def __init__(self, target: str, weight_EH: torch.Tensor, bias_E: torch.Tensor) -> None:
        super().__init__(target)
        self.weight, self.bias = nn.Parameter(weight_EH), nn.Parameter(bias_E)

    def attach(self, model: Model) -> Callable[[], None]:
        return stand_in(cast("ResidentRouter", model.get_submodule(self.target)).branches, self)

    def forward(self, hidden_TH: torch.Tensor) -> torch.Tensor:
        """[T, E], added to the logits."""
        x = hidden_TH.to(self.weight.dtype)
        return nn.functional.linear(x, self.weight, self.bias) * self.scale

    @classmethod
    def summary(cls, parts: Sequence[RouterDelta]) -> Iterator[str]:
        """`2 routers in full`."""
        yield f"{counted(len(parts), 'router')} in full"

    def peft_entry(self) -> PeftEntry:
        return PeftEntry("modules_to_save", self.target, self.target)

    def peft_tensors(self, model: Model, keys: Collection[str]) -> dict[str, torch.Tensor]:
        """The whole router: base plus difference."""
        router = model.get_submodule(self.target)
        return {
            f"{BASE}{self.target}.{name}": getattr(router, name).float() + value.detach()
            for name, value in self.named_parameters()
        }

    def own_tensors(self) -> dict[str, torch.Tensor]:
        return {f"{self.target}.{name}": p.detach() for name, p in self.named_parameters()}

    def merged(self, leaf: str, value: torch.Tensor, scale: float) -> torch.Tensor:
        return value + self.get_parameter(leaf).detach() * scale
