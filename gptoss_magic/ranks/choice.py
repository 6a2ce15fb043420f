"""`--strategy auto`: the strategy that sends least of those that fit on what is there, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.model.plan import GB
from gptoss_magic.ranks.fsdp_probe import fsdp_refusal
from gptoss_magic.ranks.plan import ranks_plan
from gptoss_magic.ranks.strategies import AUTO, DDP, STRATEGIES, check_strategy

if TYPE_CHECKING:
    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.ranks.plan import RanksPlan
    from gptoss_magic.tuning.plan import TunePlan


@dataclass(frozen=True)
class StrategyChoice:
    """`launch` by one strategy, its plan, and why it is this one; '' where the user chose it."""

    launch: Launch
    plan: RanksPlan
    why: str = ""

    def lines(self) -> list[str]:
        """The plan in words."""
        return [self.plan.line(), *filter(None, [self.why])]


def chosen(plan: TunePlan, launch: Launch, *, released: bool) -> StrategyChoice:
    """`launch` with its strategy settled, by the `plan` of one process.

    Raises InputError where the strategy that was asked for cannot be had here.
    """
    if launch.strategy != AUTO:
        if why := _no_gathering(launch.strategy, launch):
            raise InputError(f"--strategy {launch.strategy}: {why}; use ep or {DDP}")
        return StrategyChoice(launch, ranks_plan(plan, launch, released=released))
    tried: list[RanksPlan] = []
    against: list[str] = []
    for name in STRATEGIES:
        why = why_not(name, plan, launch)
        if why:
            against.append(f"{name} cannot ({why})")
            continue
        each = ranks_plan(plan, replace(launch, strategy=name), released=released)
        if each.fits:
            return StrategyChoice(each.launch, each, _because(name, against))
        tried.append(each)
        against.append(f"{name} needs {each.needed / GB:.2f} GB of {each.free / GB:.2f}")
    least = min(tried, key=lambda each: each.needed)
    return StrategyChoice(least.launch, least, f"strategy auto: none fits: {'; '.join(against)}")


def why_not(name: str, plan: TunePlan, launch: Launch) -> str:
    """Why a strategy cannot be had for this run; '' where it can."""
    experts = int(plan.asked.config["num_local_experts"])
    try:
        check_strategy(name, plan.asked.method.name, experts, launch.num_ranks)
    except InputError as error:
        return str(error).removeprefix(f"--strategy {name}: ")
    return _no_gathering(name, launch)


def _no_gathering(name: str, launch: Launch) -> str:
    return fsdp_refusal(launch.device) if STRATEGIES[name].gathers else ""


def _because(name: str, against: list[str]) -> str:
    others = f": {'; '.join(against)}" if against else ", which sends least, and it fits"
    return f"strategy auto: {name}{others}"
