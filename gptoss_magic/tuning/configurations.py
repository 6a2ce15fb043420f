"""Ways of tuning on a card, with memory and time: from the shapes of gpt-oss, no weight read."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.plan import GB
from gptoss_magic.tuning.dry_run import dry_run, verdict
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.tuning.plan import defaults, duration
from gptoss_magic.tuning.run_time import CardSpeed, train_seconds
from gptoss_magic.tuning.shapes import known_config, packed_bytes, unpacked_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.settings import MethodSettings, TrainSettings

RANKS = (4, 8, 16, 32, 64, 128)
MOST_TOKENS = 131_072  # gpt-oss's context
HEADERS = (
    *("trains", "numbers", "adapter GB", "needed GB", "left GB", "fits", "ranks", "longest row"),
    "time, estimated",
)


@dataclass(frozen=True)
class CardUse:
    """What it is for: gpt-oss `model`, a card of `card` bytes, rows of so many tokens each."""

    model: str
    card: int
    num_rows: int
    row_tokens: int
    speed: CardSpeed


@dataclass(frozen=True)
class Configuration:
    """One way of tuning on that card.

    `seconds`: an estimate. `largest_rank`: of `RANKS` that fits, 0 where none does, None where the
    method has none. `longest`: tokens of a sequence that still fit, 0 where none do.
    """

    label: str
    plan: TunePlan
    train: TrainSettings
    seconds: float
    largest_rank: int | None
    longest: int

    @property
    def method(self) -> MethodSettings:
        """The method's settings."""
        return self.plan.asked.method

    def row(self) -> tuple[Any, ...]:
        """Cells below `HEADERS`."""
        plan, ranks = self.plan, self.largest_rank
        left = f"{(plan.free - plan.needed) / GB:.2f}".replace("-", "−")
        sizes = (f"{plan.memory.adapter / GB:.2f}", f"{plan.needed / GB:.2f}", left)
        up_to = "" if ranks is None else f"to {ranks}" if ranks else "none"
        time = duration(self.seconds) if plan.fits else ""
        longest = self.longest or None
        return (self.label, plan.asked.num_params, *sizes, verdict(plan), up_to, longest, time)


def settings_at(rank: int, method: str | None = None) -> Iterator[tuple[str, MethodSettings]]:
    """(label, settings) of every method, or one, for each choice that it has. Raises InputError."""
    for name in METHODS if method is None else [settings_of(method).name]:
        known = {field.name: field.metadata for field in fields(METHODS[name].settings)}
        ranked = {"rank": rank, "alpha": 2.0 * rank} if "rank" in known else {}
        for choice in known["choice"]["choices"] if "choice" in known else ("",):
            label = f"{name}, {choice}" if choice else name
            yield label, settings_of(name, **ranked, **({"choice": choice} if choice else {}))


def make_configuration(use: CardUse, label: str, method: MethodSettings) -> Configuration:
    """One way of tuning: planned, timed, and how far it can be stretched."""
    config = known_config(use.model)
    train = train_for(use, config, method)
    plan = dry_run(use.model, use.card, method, train)
    seen = use.num_rows * (1 - train.held_out) * use.row_tokens * train.epochs
    seconds = train_seconds(plan, max(1, round(seen)), use.speed)
    return Configuration(
        label, plan, train, seconds, _largest_rank(use, method, train), _longest(use, method, train)
    )


def train_for(use: CardUse, config: dict[str, Any], method: MethodSettings) -> TrainSettings:
    """Settings that suit the rows: sequences hold the longest, a step at least one of them."""
    chosen = defaults(method, config, use.num_rows)
    longest = max(chosen.max_tokens, use.row_tokens)
    return replace(chosen, max_tokens=longest, step_tokens=max(chosen.step_tokens, longest))


def _largest_rank(use: CardUse, method: MethodSettings, train: TrainSettings) -> int | None:
    if not hasattr(method, "rank"):
        return None
    known = method.record()
    ranked = ((rank, settings_of(**{**known, "rank": rank})) for rank in reversed(RANKS))
    return next((rank for rank, one in ranked if _fits(use, one, train)), 0)


def _longest(use: CardUse, method: MethodSettings, train: TrainSettings) -> int:
    """By halving, to 128 tokens."""
    low, high = 0, MOST_TOKENS // 128
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(use, method, replace(train, max_tokens=128 * middle)):
            low = middle
        else:
            high = middle - 1
    return 128 * low


def _fits(use: CardUse, method: MethodSettings, train: TrainSettings) -> bool:
    return dry_run(use.model, use.card, method, train).fits


def terms_of(use: CardUse) -> list[tuple[str, str]]:
    """Each term of the table: its number where it is one for all, and where it comes from."""
    config = known_config(use.model)
    packed, whole = packed_bytes(config) / GB, unpacked_bytes(config) / GB
    cards = -(-unpacked_bytes(config) // use.card)
    least = "one such card" if cards == 1 else f"{cards} such cards"
    unpacked = (
        f"{whole:.1f} GB of weights alone, unpacked to bf16 (packed experts have no backward "
        f"there): {least} at least"
    )
    needed = (
        "weights, adapter, gradients (4), AdamW (8 bytes a number), activations, logits, unpacked "
        "experts, 2 % reserve: docs/tuning-memory.md derives each; activations are tested against "
        "what autograd saves on a CPU, not measured on a GPU"
    )
    time = (
        f"an estimate: products from shapes at {use.speed.tflops:g} TFLOP/s, weights read once a "
        f"pass at {use.speed.gb_per_s:g} GB/s (assumed; --tflops, --gb-per-s), the branches' own "
        "work, held-out measures and the canary left out; nothing was timed on a GPU"
    )
    numbers = "from shapes; hot and random experts: half of each layer's; of two stages the second"
    theirs = "weights in 4 bits of its own; its documentation says 14 (20b), 65 GB (120b)"
    return [
        ("weights", f"{packed:.2f} GB: shapes in the config; experts in MXFP4, all else bf16"),
        ("numbers", numbers),
        ("adapter", "4 bytes a number (fp32): in memory, and as a file to share"),
        ("needed", needed),
        ("ranks", f"of {', '.join(map(str, RANKS))}; longest row: to 128 tokens"),
        ("time", time),
        ("peft, Axolotl", unpacked),
        ("Unsloth", theirs),
    ]
