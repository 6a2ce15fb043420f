"""What each of several cards needs for a run, by strategy, from the shapes of gpt-oss alone.

Bytes by kind, and bytes that each rank sends in a step; docs/scale-out.md derives each. No weight
is read, and none of it was run on a GPU.

Legend: N ranks, L layers, E experts, k experts a token, H hidden size, T tokens of a rank's step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.model.plan import GB
from gptoss_magic.ranks.strategies import DDP, FORWARD_EACH, STRATEGIES
from gptoss_magic.tuning.counts import num_reached_layers
from gptoss_magic.tuning.dry_run import dry_run
from gptoss_magic.tuning.methods import DEFAULT, settings_of
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.shapes import experts_bytes, known_config, packed_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.tuning.plan import TunePlan

CARDS = re.compile(r"(\d{1,4})x(\d+(?:\.\d+)?)")
COUNTS, SIZES = (1, 2, 4, 8), (24, 48, 80, 141, 180)  # of docs/scale-out.md
LAYERS_IN_TRANSIT = 2  # of gathered experts: what arrives, and what it is copied to
HEADERS = (
    *("strategy", "weights", "adapter", "gradients", "optimizer", "activations", "in transit"),
    *("in all", "fits", "sent a step"),
)


@dataclass(frozen=True)
class CardsPlan:
    """A strategy on `count` cards. `one`: the plan of a process that holds all.

    `weights`: what stays on each card. `transit`: experts that are gathered, or rows that travel,
    of a layer. `wire`: bytes that each rank sends in a step of `one.asked.sequence_tokens` a rank.
    """

    strategy: str
    count: int
    one: TunePlan
    weights: int
    transit: int
    wire: int

    @property
    def needed(self) -> int:
        """Bytes of each card."""
        memory = self.one.memory
        kept = memory.adapter + memory.gradients + memory.optimizer + memory.activations
        return self.weights + kept + memory.logits + memory.unpacked + self.reserve + self.transit

    @property
    def reserve(self) -> int:
        """For the allocator: 2 % of the weights, 0.2 GB at least."""
        return max(200_000_000, self.weights // 50)

    @property
    def fits(self) -> bool:
        return self.needed <= self.one.free

    def row(self) -> tuple[str, ...]:
        """Cells below `HEADERS`; GB are 10^9 bytes."""
        memory = self.one.memory
        kept = (memory.adapter, memory.gradients, memory.optimizer, memory.activations)
        sizes = (self.weights, *kept, self.transit, self.needed)
        verdict = "no"
        if self.fits:
            verdict = "yes, recomputing" if self.one.asked.recompute else "yes"
        figures = [f"{size / GB:.2f}" for size in sizes]
        return (self.strategy, *figures, verdict, f"{self.wire / GB:.2f} GB")


def parsed_cards(text: str) -> tuple[int, float]:
    """(how many, GB of each) of a text such as 8x80. Raises InputError."""
    found = CARDS.fullmatch(text)
    if found is None or int(found[1]) < 1 or float(found[2]) <= 0:
        raise InputError(f"--cards {text}: write how many and their GB, such as 8x80")
    return int(found[1]), float(found[2])


def cards_plans(name: str, count: int, card_bytes: int, method: str = DEFAULT) -> list[CardsPlan]:
    """A plan of gpt-oss `name` for each strategy that can share its experts on so many cards."""
    config, settings = known_config(name), settings_of(method)
    found = []
    for strategy in STRATEGIES if count > 1 else (DDP,):
        in_step = STRATEGIES[strategy].in_step
        if in_step and (config["num_local_experts"] % count or method == FORWARD_EACH):
            continue
        weights = weights_of(config, strategy, count)
        one = dry_run(name, card_bytes, settings, TrainSettings(), left=card_bytes - weights)
        transit = transit_bytes(config, strategy, one.asked.sequence_tokens)
        wire = wire_bytes(one, strategy, count)
        found.append(CardsPlan(strategy, count, one, weights, transit, wire))
    return found


def weights_of(config: dict[str, Any], strategy: str, count: int) -> int:
    """Bytes of weights on each card: all, or an Nth of the experts and all else."""
    whole, experts = packed_bytes(config), experts_bytes(config)
    return whole if not STRATEGIES[strategy].in_step else whole - experts + experts // count


def transit_bytes(config: dict[str, Any], strategy: str, tokens: int) -> int:
    """Of a layer: gathered experts (fsdp), or routed rows there and back, in bf16 (ep)."""
    if strategy == "fsdp":
        return LAYERS_IN_TRANSIT * experts_bytes(config) // int(config["num_hidden_layers"])
    rows = tokens * int(config["num_experts_per_tok"])
    return 4 * rows * int(config["hidden_size"]) * 2 if strategy == "ep" else 0


def wire_bytes(one: TunePlan, strategy: str, count: int) -> int:
    """Bytes that a rank sends in a step of one sequence a rank, by a ring.

    All: the sum of the fp32 gradients, 2·(N-1)/N of them. ep: of each token k routed rows of H
    numbers in bf16, there and back, in the forward of L layers and the backward of those reached,
    of which (N-1)/N leave. fsdp: (N-1) shards of a layer's experts as often. Recomputing is a
    forward more of the layers reached.
    """
    asked = one.asked
    config: dict[str, Any] = asked.config
    away = (count - 1) / count
    reached = num_reached_layers(config, asked.method)
    passes = int(config["num_hidden_layers"]) + reached * (2 if asked.recompute else 1)
    rows = asked.sequence_tokens * int(config["num_experts_per_tok"])
    layer = {
        "ep": 2 * rows * int(config["hidden_size"]) * 2,
        "fsdp": experts_bytes(config) // int(config["num_hidden_layers"]),
    }.get(strategy, 0)
    return round(away * (2 * 4 * asked.num_params + passes * layer))


def cards_rows(name: str, cards: str, method: str = DEFAULT) -> list[tuple[str, ...]]:
    """Rows below `HEADERS` for cards such as 8x80. Raises InputError."""
    count, size = parsed_cards(cards)
    return [plan.row() for plan in cards_plans(name, count, int(size * GB), method)]


def table() -> str:
    """Markdown: 120b and 20b on 1, 2, 4 and 8 cards: what each needs, the smallest of `SIZES`."""
    lines = ["| model | cards | strategy | needed on each, GB | smallest card, GB | sent a step |"]
    lines.append("|---|--:|---|--:|--:|--:|")
    for name in ("120b", "20b"):
        for count in COUNTS:
            for strategy, plans in _by_strategy(name, count):
                lines.append(f"| {name} | {count} | {strategy} | {' | '.join(_least(plans))} |")
    return "\n".join(lines)


def _by_strategy(name: str, count: int) -> list[tuple[str, list[CardsPlan]]]:
    plans = [plan for size in SIZES for plan in cards_plans(name, count, int(size * GB))]
    names = dict.fromkeys(plan.strategy for plan in plans)
    return [(one, [plan for plan in plans if plan.strategy == one]) for one in names]


def _least(plans: Sequence[CardsPlan]) -> tuple[str, str, str]:
    """(GB needed, smallest card, GB sent) of the first that fits, else of the largest card."""
    chosen = next((plan for plan in plans if plan.fits), plans[-1])
    card = f"{chosen.one.free / GB:g}" if chosen.fits else "none"
    return f"{chosen.needed / GB:.1f}", card, f"{chosen.wire / GB:.2f} GB"
