"""A module whose own weights are all trained; while it is attached they stand in the base's place.

Legend: E experts, K in, N out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn

from gptoss_magic.model.experts import ResidentExperts
from gptoss_magic.model.parts.part import PROJECTIONS, Part
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.model.protocol import Model, ModelConfig


class WholeModule(Part):
    """Weights by their names in the module. `tied`: modules that share them, as a tied head does.

    Packed experts give way to dense ones, W [E, K, N]. peft's format has no place for it.
    """

    SETTINGS = ("tied", "dtype")
    family = "whole"
    is_in_peft: ClassVar[bool] = False

    def __init__(
        self, target: str, weights: dict[str, torch.Tensor], tied: Sequence[str] = ()
    ) -> None:
        self._scale, self._stands = 1.0, False
        self._beside: list[Any] = []  # the model, in a list: it is no part of this module
        self._undo: list[Callable[[], None]] = []
        super().__init__(target)
        self.tied = tuple(tied)
        for leaf, value in weights.items():
            self.register_parameter(leaf, nn.Parameter(value))

    @property
    def scale(self) -> float:
        """1: these weights; 0: the base's; else between or beyond them."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = value
        if self._beside and not self._stands:
            model = self._beside[0]
            self._leave()
            self.attach(model)

    @property
    def dtype(self) -> str:
        """Torch's name of the weights' dtype."""
        return str(next(self.parameters()).dtype).removeprefix("torch.")

    def attach(self, model: Model) -> Callable[[], None]:
        if self._stands:
            return lambda: None
        self._beside[:] = [model]
        if self._scale:
            for name in (self.target, *self.tied):
                self._put(model, name)
        return self._leave

    def stay(self, model: Model) -> None:
        """Attach it for good: nothing keeps the base's weights any more."""
        self.attach(model)
        self._undo.clear()
        self._stands = True

    def _put(self, model: Any, name: str) -> None:
        base = model.get_submodule(name)
        module = base
        if hasattr(base, "packed"):
            module = empty_experts(base, model.config)
            model.set_submodule(name, module)
            self._undo.append(lambda: model.set_submodule(name, base))
        for leaf, mine in list(self._parameters.items()):
            value = mine if self._scale == 1 else self._mixed(base, leaf)
            self._undo.append(_putting(module, leaf, module._parameters[leaf]))
            module._parameters[leaf] = value

    def _leave(self) -> None:
        while self._undo:
            self._undo.pop()()
        self._beside.clear()

    def _mixed(self, base: Any, leaf: str) -> nn.Parameter:
        """Between the base's weight and this one."""
        mine = self.get_parameter(leaf).detach()
        whole = own_weights(base)[leaf].to(mine.device).float()
        mixed = whole.lerp(mine.float(), self._scale).to(mine.dtype)
        return nn.Parameter(mixed, requires_grad=False)

    @property
    def replaced_experts(self) -> tuple[int, ...]:
        names = dict(self.named_parameters())
        return tuple(range(len(names[PROJECTIONS[0]]))) if PROJECTIONS[0] in names else ()

    @classmethod
    def summary(cls, parts: Sequence[WholeModule]) -> Iterator[str]:
        """`31 modules in full`."""
        yield f"{counted(len(parts), 'module')} in full"

    def own_tensors(self) -> dict[str, torch.Tensor]:
        return {f"{self.target}.{name}": p.detach() for name, p in self.named_parameters()}

    def merged(self, leaf: str, value: torch.Tensor, scale: float) -> torch.Tensor:
        return value.lerp(self.get_parameter(leaf).detach().to(value), scale)

    def merged_expert(
        self, projection: str, expert: int, pair: tuple[torch.Tensor, torch.Tensor], scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        w_KN, bias_N = (
            self.get_parameter(key)[expert].detach() for key in (projection, f"{projection}_bias")
        )
        (w_NK, bias), mine = pair, (w_KN.T, bias_N)
        return w_NK.lerp(mine[0].to(w_NK), scale), bias.lerp(mine[1].to(bias), scale)


def _putting(module: Any, leaf: str, value: Any) -> Callable[[], None]:
    def put() -> None:
        module._parameters[leaf] = value

    return put


def empty_experts(packed: Any, config: ModelConfig) -> ResidentExperts:
    """Dense experts without memory that take the place of packed ones, with the same taps."""
    with torch.device("meta"):
        experts: Any = cast("Any", ResidentExperts)(config)
    experts.taps, experts.training = packed.taps, packed.training
    return experts  # type: ignore[no-any-return]


def own_weights(module: Any) -> dict[str, torch.Tensor]:
    """Copies of a module's own weights by name, contiguous; packed experts as W [E, K, N], bf16."""
    if not hasattr(module, "packed"):
        return {
            leaf: value.detach().clone(memory_format=torch.contiguous_format)
            for leaf, value in module.named_parameters(recurse=False)
        }
    found = {}
    for name in PROJECTIONS:
        packed, bias = module.packed(name)
        experts = [packed.expert(n, bias.dtype).T for n in range(packed.shape[0])]
        found[name] = torch.stack(experts)
        found[f"{name}_bias"] = bias.detach().clone()
    return found


def dense_experts(packed: Any, config: ModelConfig) -> ResidentExperts:
    """Packed experts as dense ones, frozen, with the same taps."""
    experts = empty_experts(packed, config)
    for leaf, value in own_weights(packed).items():
        experts._parameters[leaf] = nn.Parameter(value, requires_grad=False)
    return experts
