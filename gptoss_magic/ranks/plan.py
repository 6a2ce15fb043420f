"""What a launched run needs of this machine, before a process starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.errors import DoesNotFit
from gptoss_magic.model.plan import GB
from gptoss_magic.ranks.rank_bytes import held
from gptoss_magic.ranks.strategies import DDP, STRATEGIES
from gptoss_magic.tuning.shapes import experts_bytes

if TYPE_CHECKING:
    from gptoss_magic.ranks.folder import Launch
    from gptoss_magic.tuning.plan import TunePlan


@dataclass(frozen=True)
class RanksPlan:
    """`each`: bytes of one rank beside `shared`; `free`: where they all go, or each its own card.

    `on_cards`: each rank has a GPU, and its weights are its own. On a processor packed weights are
    mapped from their file, which all ranks of a machine share.
    """

    launch: Launch
    shared: int
    each: int
    free: int
    on_cards: bool

    @property
    def needed(self) -> int:
        """Bytes that `free` must hold."""
        return self.each if self.on_cards else self.shared + self.launch.num_ranks * self.each

    @property
    def fits(self) -> bool:
        return self.needed <= self.free

    def line(self) -> str:
        """The plan in a line."""
        count, how = self.launch.num_ranks, self.launch.strategy
        where = "on a card of its own" if self.on_cards else "in this machine's memory"
        together = "" if self.on_cards else f", {self.needed / GB:.2f} GB together"
        beside = f" beside {self.shared / GB:.2f} GB for all" if self.shared else ""
        return (
            f"{count} processes ({how}): each {self.each / GB:.2f} GB {where}{beside}{together}; "
            f"{self.free / GB:.2f} GB free"
        )


def ranks_plan(plan: TunePlan, launch: Launch, *, released: bool) -> RanksPlan:
    """The plan of `launch` by that of one process. `released`: the resident model goes first."""
    weights, memory, on_cards = plan.memory.weights, plan.memory, launch.device == "cuda"
    mine = held(plan, launch.strategy, launch.num_ranks)
    beside = mine.trained + mine.transit + memory.activations + memory.logits
    beside += memory.unpacked + memory.reserve
    if on_cards:
        free = card_bytes(launch, weights, released)
        return RanksPlan(launch, 0, mine.weights + beside, free, on_cards=True)
    if not plan.asked.packed:  # each rank reads all before it lets go of what is others'
        free = plan.free + (weights if released else 0)
        return RanksPlan(launch, 0, weights + beside, free, on_cards=False)
    if STRATEGIES[launch.strategy].gathers and mine.weights:  # its share is no page of the file
        experts = experts_bytes(plan.asked.config)
        shared = weights - experts if released else 0
        each = beside + experts // launch.num_ranks
        return RanksPlan(launch, shared, each, plan.free, on_cards=False)
    return RanksPlan(launch, weights if released else 0, beside, plan.free, on_cards=False)


def card_bytes(launch: Launch, weights: int, released: bool) -> int:
    """What is free on the fullest of the ranks' cards; the resident model's is on the first."""
    import torch

    free = [int(torch.cuda.mem_get_info(card)[0]) for card in range(launch.num_ranks)]
    free[0] += weights if released else 0
    return min(free)


def require_room(plan: RanksPlan) -> None:
    """Raise DoesNotFit with what would help."""
    if plan.fits:
        return
    fewer = max(0, (plan.free - plan.shared) // max(1, plan.each))
    if plan.on_cards or plan.launch.strategy != DDP:  # there each needs more where they are fewer
        fewer = 0
    advice = f"--launch {fewer} would fit" if fewer else "--release gives the model's own memory"
    raise DoesNotFit(f"{plan.line()}; {advice}")
