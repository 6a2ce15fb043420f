"""Two stages: the routers in full, then LoRA on the experts that they reveal."""

from __future__ import annotations

from dataclasses import dataclass

from gptoss_magic.tuning.methods import experts, lora, router
from gptoss_magic.tuning.methods.method import AxolotlWords, LadderRung, Method, Sizes, ranks


@dataclass(frozen=True)
class RouterThenExpertsSettings(experts.ExpertsSettings):
    """Of the second stage; the first has no options."""

    name = "router+experts"


METHOD = Method(
    name=RouterThenExpertsSettings.name,
    help="the routers, then LoRA on the experts that they reveal",
    settings=RouterThenExpertsSettings,
    apply=experts.apply,
    sizes=Sizes(experts.numbers, experts.branch_bytes, experts.reached),
    rate=lora.RATE,
    hot=experts.hot_experts,
    first=router.METHOD.name,
    axolotl=AxolotlWords(
        parameters=experts.TARGETS,
        lost="router+experts: the routers' stage, and which experts it reveals, is lost",
        unsaid=experts.unsaid,
    ),
    ladder=(LadderRung(10, "router-experts", "routers, then LoRA on hot experts", ranks(8, 2)),),
)
