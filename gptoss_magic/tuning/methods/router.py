"""The routers in full, as a difference from the base's: few numbers, and where tokens go moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning.methods.method import LadderRung, Method, Rate, Sizes, Strength
from gptoss_magic.tuning.settings import MethodSettings

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts


@dataclass(frozen=True)
class RouterSettings(MethodSettings):
    """No options: every router is trained."""

    name = "router"


def apply(model: Model, _context: Context) -> list[Any]:
    """A `RouterDelta` of zeros beside each router."""
    import torch

    from gptoss_magic.model.parts import RouterDelta

    experts, hidden = model.config.num_local_experts, model.config.hidden_size
    return [
        RouterDelta(
            f"model.layers.{layer}.mlp.router", torch.zeros(experts, hidden), torch.zeros(experts)
        ).to(model.device)
        for layer in range(model.config.num_hidden_layers)
    ]


def _numbers(config: Config, _settings: RouterSettings, _experts: Counts) -> int:
    each = config["num_local_experts"] * (config["hidden_size"] + 1)
    return int(config["num_hidden_layers"] * each)


def _branch_bytes(config: Config) -> int:
    """The router's input in fp32."""
    return int(4 * config["hidden_size"])


METHOD = Method(
    name=RouterSettings.name,
    help="the routers in full",
    settings=RouterSettings,
    apply=apply,
    sizes=Sizes(_numbers, _branch_bytes),
    rate=Rate(2e-4),
    ladder=(LadderRung(10, "router", "routers", (Strength("full", "in full", {}),)),),
)
