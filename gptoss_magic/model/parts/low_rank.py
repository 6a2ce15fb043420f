"""LoRA beside one linear or one router: scaling · B(A x).

Legend: K in, N out, r rank.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn

from gptoss_magic.model.parts.part import Part, stand_in
from gptoss_magic.model.peft_layout import PeftEntry, factors
from gptoss_magic.model.router import ResidentRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from gptoss_magic.model.protocol import Model


class LowRank(Part):
    """scaling · B(A x); A [r, K], B [N, r]."""

    SETTINGS: ClassVar[tuple[str, ...]] = ("scaling",)
    family = "lora"

    def __init__(self, target: str, a_rK: torch.Tensor, b_Nr: torch.Tensor, scaling: float) -> None:
        super().__init__(target)
        self.a, self.b, self.scaling = nn.Parameter(a_rK), nn.Parameter(b_Nr), scaling

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., N], what is added, in the parameters' dtype."""
        return (x.to(self.a.dtype) @ self.a.T) @ self.b.T * (self.scaling * self.scale)

    @property
    def outer(self) -> list[nn.Parameter]:
        return [self.b]

    @classmethod
    def summary(cls, parts: Sequence[LowRank]) -> Iterator[str]:
        """`LoRA r=8 on 24 × q_proj, 24 × v_proj`, by rank."""
        by_rank: dict[int, Counter[str]] = {}
        for part in parts:
            by_rank.setdefault(len(part.a), Counter())[part.target.rpartition(".")[2]] += 1
        for rank, leaves in by_rank.items():
            on = ", ".join(f"{count} × {leaf}" for leaf, count in leaves.items())
            yield f"LoRA r={rank} on {on}"

    def peft_tensors(self, model: Model, keys: Collection[str]) -> dict[str, torch.Tensor]:
        return factors(self.target, self.a.detach(), self.b.detach())

    def merged(self, leaf: str, value: torch.Tensor, scale: float) -> torch.Tensor:
        if leaf != "weight":
            return value
        return value + self.b.detach() @ self.a.detach() * (self.scaling * scale)


class LinearLora(LowRank):
    """LoRA beside one nn.Linear."""

    @staticmethod
    def fits(module: Any) -> bool:
        """True for a module that it can stand beside."""
        return isinstance(module, nn.Linear)

    @staticmethod
    def key_of(target: str) -> str:
        """The name by which peft's config means it."""
        return target

    def attach(self, model: Model) -> Callable[[], None]:
        hook = model.get_submodule(self.target).register_forward_hook(self._beside)
        return hook.remove  # type: ignore[no-any-return]

    def _beside(self, _module: Any, inputs: Any, y: torch.Tensor) -> torch.Tensor:
        return (y + self.forward(inputs[0])).to(y.dtype)

    def peft_entry(self) -> PeftEntry:
        return PeftEntry("target_modules", self.target, self.target, len(self.a), self.scaling)


class RouterLora(LowRank):
    """LoRA beside a router: what is added to its logits, [T, H] to [T, E]."""

    @staticmethod
    def fits(module: Any) -> bool:
        """True for a module that it can stand beside."""
        return isinstance(module, ResidentRouter)

    @staticmethod
    def key_of(target: str) -> str:
        """The name by which peft's config means it: of the router's parameter."""
        return f"{target}.weight"

    def attach(self, model: Model) -> Callable[[], None]:
        return stand_in(cast("ResidentRouter", model.get_submodule(self.target)).branches, self)

    def peft_entry(self) -> PeftEntry:
        key = self.key_of(self.target)
        return PeftEntry("target_parameters", key, self.target, len(self.a), self.scaling)
