"""How ranks share a model: what each keeps of it, and who shares the texts. A strategy is a line.

`ddp`   everything on every rank; gradients are summed
`ep`    experts are shared out, tokens travel to them (`expert_parallel`)
`fsdp`  experts are shared out, and gathered for each layer (`sharded_experts`)
`fsdp+ep`  tokens travel within a row of a mesh, whose slices are gathered across the rows
`auto`  one of these, by what fits (`choice`); they stand here by what they send, the least first

What is trained is whole on every rank in each of them, so that checkpoints, the adapter and a run
that goes on with another number of processes are the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.ranks.even import BOTH, check_even, mesh_sides
from gptoss_magic.tuning.methods import METHODS
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.ranks.group import RankGroup


@dataclass(frozen=True)
class Strategy:
    """`spread(model, group)` leaves a rank its part of the frozen model.

    `travels`: tokens go to the experts' ranks. `gathers`: experts' bytes come to the tokens'.
    `trains_all`: whether a method that trains every weight can be shared out so
    (`sharded_weights`).
    """

    name: str
    spread: Callable[[Any, Any], None]
    travels: bool = False
    gathers: bool = False
    trains_all: bool = True

    @property
    def in_step(self) -> bool:
        """Whether ranks meet within the layers, so that each has as many sequences."""
        return self.travels or self.gathers

    def sides(self, count: int) -> tuple[int, int]:
        """(F, E): bytes are gathered from F ranks, tokens travel among E; F·E is `count`.

        Raises InputError where so many make no mesh.
        """
        if self.travels and self.gathers:
            return mesh_sides(count)
        return (count, 1) if self.gathers else (1, count)


def _nothing(_model: Model, _group: RankGroup) -> None:
    """Every rank keeps all."""


def _ep(model: Model, group: RankGroup) -> None:
    from gptoss_magic.ranks.expert_parallel import spread_experts

    spread_experts(model, group.place)


def _fsdp(model: Model, group: RankGroup) -> None:
    from gptoss_magic.ranks.sharded_experts import shard_experts

    shard_experts(model, group.place.size)


def _both(model: Model, group: RankGroup) -> None:
    from gptoss_magic.ranks.sharded_experts import shard_slices

    shard_slices(model, group.place)


DDP, AUTO = "ddp", "auto"
STRATEGIES = {
    one.name: one
    for one in (
        Strategy(DDP, _nothing),
        Strategy("ep", _ep, travels=True, trains_all=False),
        Strategy(BOTH, _both, travels=True, gathers=True, trains_all=False),
        Strategy("fsdp", _fsdp, gathers=True),
    )
}
NAMES = (AUTO, *STRATEGIES)
FORWARD_EACH = "prefix"  # a forward for each text, whose number differs among the ranks


def strategy_of(name: str) -> Strategy:
    """The strategy. Raises InputError where there is none of that name."""
    check_known("--strategy:", [name], tuple(STRATEGIES))
    return STRATEGIES[name]


def check_strategy(name: str, method: str, num_experts: int, num_ranks: int) -> None:
    """Raise InputError where a strategy cannot train by `method`, or on so many processes."""
    strategy = strategy_of(name)
    if METHODS[method].trains_all:
        if not strategy.trains_all:
            raise InputError(
                f"--strategy {name}: {method} trains every weight, and this one shares out frozen "
                "experts alone; use fsdp"
            )
        return
    if method == FORWARD_EACH and strategy.in_step:
        raise InputError(
            f"--strategy {name}: {method} runs each text by itself, and the ranks would not meet; "
            f"use {DDP}"
        )
    if strategy.in_step:
        check_even(num_experts, num_ranks)
    strategy.sides(num_ranks)
