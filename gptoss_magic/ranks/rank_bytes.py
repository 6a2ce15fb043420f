"""Bytes that a rank holds of a model and of what is trained; docs/scale-out.md derives each.

Legend: N ranks, W weights, X of them experts, L layers, T tokens, k experts a token, H hidden size;
F·E = N where tokens travel among E ranks and bytes are gathered from F.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.ranks.strategies import STRATEGIES
from gptoss_magic.tuning.methods import method_of
from gptoss_magic.tuning.shapes import (
    all_numbers,
    experts_bytes,
    experts_numbers,
    table_numbers,
    width,
)

if TYPE_CHECKING:
    from gptoss_magic.tuning.plan import TunePlan

LAYERS_IN_TRANSIT = 2  # of gathered weights: what arrives, and what it is copied to


@dataclass(frozen=True)
class RankBytes:
    """`weights`: frozen. `trained`: with its gradients and AdamW's means. `transit`: of a layer."""

    weights: int
    trained: int
    transit: int


def held(plan: TunePlan, strategy: str, count: int) -> RankBytes:
    """What each of `count` ranks holds of the run that `plan` means on one process."""
    asked, memory = plan.asked, plan.memory
    trained = memory.adapter + memory.gradients + memory.optimizer
    if not method_of(asked.method).trains_all:
        experts = frozen_experts(asked.config, packed=asked.packed)
        weights = share(memory.weights, experts, strategy, count)
        gathered, rows = passing(asked.config, experts, strategy, count, asked.sequence_tokens)
        return RankBytes(weights, trained, LAYERS_IN_TRANSIT * gathered + 2 * rows)
    shared, is_cut = sharded(asked.config), STRATEGIES[strategy].gathers
    part = round(trained * (1 - shared + shared / count)) if is_cut else trained
    layer = round(memory.adapter * shared) // int(asked.config["num_hidden_layers"])
    gathered = (LAYERS_IN_TRANSIT + 1) * layer if is_cut else 0  # and its gradients
    return RankBytes(0, part, gathered)


def frozen_experts(config: dict[str, Any], *, packed: bool) -> int:
    """X, in bytes."""
    return experts_bytes(config) if packed else experts_numbers(config) * width(config)


def sharded(config: dict[str, Any]) -> float:
    """The share of all weights that FSDP2 cuts: all but the tables of the vocabulary."""
    return 1 - table_numbers(config) / all_numbers(config)


def share(weights: int, experts: int, strategy: str, count: int) -> int:
    """W of `ddp`; W - X + X/N where the experts are shared out."""
    return weights - experts + experts // count if STRATEGIES[strategy].in_step else weights


def passing(
    config: dict[str, Any], experts: int, strategy: str, count: int, tokens: int
) -> tuple[int, int]:
    """(gathered, routed) bytes of a layer's forward: X/(L·E), and 2·k·T·H in bf16, or none."""
    how = STRATEGIES[strategy]
    _, within = how.sides(count)
    layer = experts // int(config["num_hidden_layers"]) // within
    rows = 2 * tokens * int(config["num_experts_per_tok"]) * int(config["hidden_size"]) * 2
    return (layer if how.gathers else 0), (rows if how.travels else 0)
