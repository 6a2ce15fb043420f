"""One expert in full precision in the packed one's place.

Legend: S routed rows sorted by expert, K in, N out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn

from gptoss_magic.model.parts.part import PROJECTIONS, Part, stand_in
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.model.protocol import Model


class ExpertWeights(Part):
    """W [N, K] and bias [N] of both projections. peft's format has no place for it."""

    SETTINGS = ("expert",)
    family = "expert"
    is_in_peft: ClassVar[bool] = False

    def __init__(self, target: str, expert: int, weights: dict[str, torch.Tensor]) -> None:
        super().__init__(target)
        self.expert = expert
        for name in PROJECTIONS:
            for key in (name, f"{name}_bias"):
                self.register_parameter(key, nn.Parameter(weights[key]))

    def attach(self, model: Model) -> Callable[[], None]:
        return stand_in(cast("Any", model.get_submodule(self.target)).taps.branches, self)

    def beside(
        self, name: str, x_SK: torch.Tensor, y_SN: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """See `taps.ExpertBranch`. `scale` mixes: 0 is the packed expert, 1 this one."""
        first, end = offsets[self.expert : self.expert + 2].tolist()
        if first == end:
            return y_SN
        w_NK, bias_N = self.get_parameter(name), self.get_parameter(f"{name}_bias")
        own = nn.functional.linear(x_SK[first:end].to(w_NK.dtype), w_NK, bias_N).to(y_SN.dtype)
        if self.scale != 1:
            own = torch.lerp(y_SN[first:end], own, self.scale)
        return torch.cat([y_SN[:first], own, y_SN[end:]])

    @property
    def trained_experts(self) -> tuple[int, ...]:
        return (self.expert,)

    @property
    def replaced_experts(self) -> tuple[int, ...]:
        return (self.expert,)

    @classmethod
    def summary(cls, parts: Sequence[ExpertWeights]) -> Iterator[str]:
        """`2 experts in full in 1 layer`."""
        layers = len({part.target for part in parts})
        yield f"{counted(len(parts), 'expert')} in full in {counted(layers, 'layer')}"

    def own_tensors(self) -> dict[str, torch.Tensor]:
        place = f"{self.target}.{self.expert}"
        return {f"{place}.{name}": value.detach() for name, value in self.named_parameters()}

    def merged_expert(
        self, projection: str, expert: int, pair: tuple[torch.Tensor, torch.Tensor], scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if expert != self.expert:
            return pair
        own = (self.get_parameter(key).detach() for key in (projection, f"{projection}_bias"))
        w_NK, bias_N = (base.lerp(mine, scale) for base, mine in zip(pair, own, strict=True))
        return w_NK, bias_N
