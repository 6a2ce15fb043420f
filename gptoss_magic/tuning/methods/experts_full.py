"""One or two experts in full precision: unpacked copies of just those are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods.experts import branch_bytes
from gptoss_magic.tuning.methods.method import LadderRung, Method, Rate, Sizes, counts
from gptoss_magic.tuning.settings import MethodSettings, option

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts

MOST = 2


@dataclass(frozen=True)
class ExpertsFullSettings(MethodSettings):
    """`num_experts`: one (also where it is 0) or two. Raises InputError below 0."""

    name = "experts-full"
    num_experts: int = option(0, ("-x", "--num-experts"), "experts: so many of each layer")

    def __post_init__(self) -> None:
        if self.num_experts < 0:
            raise InputError("numbers of experts and layers start at 0; give 0 or more")

    @property
    def by_routing(self) -> bool:
        return True


def apply(model: Model, context: Context) -> list[Any]:
    """`ExpertWeights` of the hot experts of the last layer that has some, at most two."""
    from gptoss_magic.model.parts import ExpertWeights

    number = context.settings.num_experts or 1
    if number > MOST:
        raise InputError(f"experts-full {number}: at most {MOST} are unpacked; use 'experts'")
    layers = [layer for layer, experts in enumerate(context.hot) if experts]
    if not layers:
        raise InputError("experts-full: the data's routing was not measured; use 'experts'")
    target = f"model.layers.{layers[-1]}.mlp.experts"
    module = model.get_submodule(target)
    return [
        ExpertWeights(target, expert, unpacked(module, expert)).to(model.device)
        for expert in list(context.hot[layers[-1]])[:number]
    ]


def unpacked(module: Any, expert: int) -> dict[str, Any]:
    """fp32 W [N, K] and bias [N] of both projections of one expert, packed or bf16."""
    from torch import contiguous_format

    from gptoss_magic.model.mxfp4 import unpack
    from gptoss_magic.model.parts import PROJECTIONS

    found = {}
    for name in PROJECTIONS:
        if hasattr(module, "packed"):
            packed, bias = module.packed(name)
            found[name] = unpack(packed.blocks[expert], packed.scales[expert]).float()
        else:
            bias = getattr(module, f"{name}_bias")
            own = getattr(module, name)[expert].T.float()
            found[name] = own.clone(memory_format=contiguous_format)  # never the model's own memory
        found[f"{name}_bias"] = bias[expert].float().clone()
    return found


def hot_experts(scores: Any, settings: ExpertsFullSettings) -> list[list[int]]:
    """Those of one layer only: that whose hottest experts take the largest share."""
    number = settings.num_experts or 1
    layer = int(scores.coverage(number).argmax())
    hot = scores.hot(num_experts=number)
    return [experts if i == layer else [] for i, experts in enumerate(hot)]


def _numbers(config: Config, settings: ExpertsFullSettings, _experts: Counts) -> int:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return (settings.num_experts or 1) * int(3 * hidden * inner + 2 * inner + hidden)


METHOD = Method(
    name=ExpertsFullSettings.name,
    help="one or two experts in full",
    settings=ExpertsFullSettings,
    apply=apply,
    sizes=Sizes(_numbers, branch_bytes),
    rate=Rate(2e-5),
    hot=hot_experts,
    ladder=(
        LadderRung(11, "full", "experts in full", counts("num_experts", "x", "{} of them", 1, 2)),
    ),
)
