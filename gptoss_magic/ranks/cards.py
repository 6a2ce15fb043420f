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
from gptoss_magic.ranks.rank_bytes import frozen_experts, held, passing, sharded, share
from gptoss_magic.ranks.strategies import DDP, STRATEGIES, check_strategy
from gptoss_magic.tuning.counts import num_reached_layers
from gptoss_magic.tuning.dry_run import dry_run
from gptoss_magic.tuning.methods import DEFAULT, method_of, settings_of
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.shapes import all_numbers, known_config, packed_bytes, table_numbers, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.ranks.rank_bytes import RankBytes
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.settings import MethodSettings

CARDS = re.compile(r"(\d{1,4})x(\d+(?:\.\d+)?)")
COUNTS, SIZES = (1, 2, 4, 8), (24, 48, 80, 141, 180)  # of docs/scale-out.md
HEADERS = (
    *("strategy", "frozen weights", "trained, gradients, means", "activations", "in transit"),
    *("in all", "fits", "sent a step"),
)


@dataclass(frozen=True)
class CardsPlan:
    """A strategy on `count` cards. `one`: the plan of a process that holds all; `mine`: a card's.

    `wire`: bytes that each rank sends in a step of `one.asked.sequence_tokens` a rank.
    """

    strategy: str
    count: int
    one: TunePlan
    mine: RankBytes
    wire: int

    @property
    def needed(self) -> int:
        """Bytes of each card."""
        memory, mine = self.one.memory, self.mine
        kept = mine.weights + mine.trained + mine.transit + memory.activations
        return kept + memory.logits + memory.unpacked + self.reserve

    @property
    def reserve(self) -> int:
        """For the allocator: 2 % of the weights, 0.2 GB at least."""
        return max(200_000_000, self.mine.weights // 50)

    @property
    def fits(self) -> bool:
        return self.needed <= self.one.free

    def row(self) -> tuple[str, ...]:
        """Cells below `HEADERS`; GB are 10^9 bytes."""
        memory, mine = self.one.memory, self.mine
        kept = (mine.weights, mine.trained, memory.activations, mine.transit, self.needed)
        verdict = "no"
        if self.fits:
            verdict = "yes, recomputing" if self.one.asked.recompute else "yes"
        figures = [f"{size / GB:.2f}" for size in kept]
        return (self.strategy, *figures, verdict, f"{self.wire / GB:.2f} GB")


def parsed_cards(text: str) -> tuple[int, float]:
    """(how many, GB of each) of a text such as 8x80. Raises InputError."""
    found = CARDS.fullmatch(text)
    if found is None or int(found[1]) < 1 or float(found[2]) <= 0:
        raise InputError(f"--cards {text}: write how many and their GB, such as 8x80")
    return int(found[1]), float(found[2])


def cards_plans(
    name: str, count: int, card_bytes: int, method: str = DEFAULT, **settings: Any
) -> list[CardsPlan]:
    """A plan of gpt-oss `name` for each strategy that can be had on so many cards.

    `settings`: options of the method.
    """
    config, chosen = known_config(name), settings_of(method, **settings)
    strategies = [DDP, *(one for one in STRATEGIES if _is_shared(one, config, method, count))]
    found = []
    for strategy in dict.fromkeys(strategies):
        left = card_bytes - left_out(config, chosen, strategy, count)
        one = dry_run(name, card_bytes, chosen, TrainSettings(), left=left)
        wire = wire_bytes(one, strategy, count)
        found.append(CardsPlan(strategy, count, one, held(one, strategy, count), wire))
    return found


def _is_shared(strategy: str, config: dict[str, Any], method: str, count: int) -> bool:
    """Whether a strategy shares the model out to so many cards."""
    if count == 1:
        return False
    try:
        check_strategy(strategy, method, config["num_local_experts"], count)
    except InputError:
        return False
    return True


def left_out(config: dict[str, Any], method: MethodSettings, strategy: str, count: int) -> int:
    """Bytes of a card that activations cannot have: the frozen weights."""
    if method_of(method).trains_all:
        return 0
    whole, experts = packed_bytes(config), frozen_experts(config, packed=True)
    return share(whole, experts, strategy, count)


def wire_bytes(one: TunePlan, strategy: str, count: int) -> int:
    """Bytes that a rank sends in a step of one sequence a rank, by a ring.

    All: the sum of the gradients of what is whole on each, 2·(N-1)/N of them. ep: of each token k
    routed rows of H numbers in bf16, there and back, in the forward of L layers and the backward of
    those reached, of which (N-1)/N leave. fsdp: (N-1) shards of a layer's experts as often. Both:
    each by its side of the mesh. Recomputing is a forward more of the layers reached.
    """
    asked = one.asked
    if method_of(asked.method).trains_all:
        return _wire_of_all(asked.config, strategy, count)
    config: dict[str, Any] = asked.config
    reached = num_reached_layers(config, asked.method)
    passes = int(config["num_hidden_layers"]) + reached * (2 if asked.recompute else 1)
    experts = frozen_experts(config, packed=asked.packed)
    rows, within = STRATEGIES[strategy].sides(count)
    gathered, routed = passing(config, experts, strategy, count, asked.sequence_tokens)
    layer = _leaving(rows) * gathered + _leaving(within) * routed
    return round(_leaving(count) * 2 * 4 * asked.num_params + passes * layer)


def _leaving(count: int) -> float:
    """The share of what goes to `count` ranks alike that is not one's own."""
    return (count - 1) / count


def _wire_of_all(config: dict[str, Any], strategy: str, count: int) -> int:
    """Where every weight is trained. fsdp: each gathered twice, its gradient sent once, in fp32.

    The tables are whole on each rank, and so is all else of ddp: gradients in the weights' dtype.
    """
    away, size, numbers = _leaving(count), width(config), all_numbers(config)
    if strategy == DDP:
        return round(away * 2 * size * numbers)
    cut = numbers * sharded(config)
    return round(away * ((2 * size + 4) * cut + 2 * size * table_numbers(config)))


def cards_rows(
    name: str, cards: str, method: str = DEFAULT, **settings: Any
) -> list[tuple[str, ...]]:
    """Rows below `HEADERS` for cards such as 8x80. Raises InputError."""
    count, size = parsed_cards(cards)
    return [plan.row() for plan in cards_plans(name, count, int(size * GB), method, **settings)]


def table(method: str = DEFAULT, **settings: Any) -> str:
    """Markdown: 120b and 20b on 1, 2, 4 and 8 cards: what each needs, the smallest of `SIZES`."""
    lines = ["| model | cards | strategy | needed on each, GB | smallest card, GB | sent a step |"]
    lines.append("|---|--:|---|--:|--:|--:|")
    for name in ("120b", "20b"):
        for count in COUNTS:
            for strategy, plans in _by_strategy(name, count, method, settings):
                lines.append(f"| {name} | {count} | {strategy} | {' | '.join(_least(plans))} |")
    return "\n".join(lines)


def _by_strategy(
    name: str, count: int, method: str, settings: dict[str, Any]
) -> list[tuple[str, list[CardsPlan]]]:
    sizes = [int(size * GB) for size in SIZES]
    plans = [plan for size in sizes for plan in cards_plans(name, count, size, method, **settings)]
    names = dict.fromkeys(plan.strategy for plan in plans)
    return [(one, [plan for plan in plans if plan.strategy == one]) for one in names]


def _least(plans: Sequence[CardsPlan]) -> tuple[str, str, str]:
    """(GB needed, smallest card, GB sent) of the first that fits, else of the largest card."""
    chosen = next((plan for plan in plans if plan.fits), plans[-1])
    card = f"{chosen.one.free / GB:g}" if chosen.fits else "none"
    return f"{chosen.needed / GB:.1f}", card, f"{chosen.wire / GB:.2f} GB"
