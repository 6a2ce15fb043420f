"""Plans of gpt-oss without a weight on the disk: shapes alone against a card's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.model.plan import GB
from gptoss_magic.tuning.counts import num_parameters
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.tuning.plan import make_tune_plan, must_recompute
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.shapes import known_config, packed_bytes

if TYPE_CHECKING:
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.settings import MethodSettings

HEADERS = (
    *("method", "trained numbers", "adapter", "gradients", "optimizer", "activations", "in all"),
    "fits",
)


def dry_run(
    name: str,
    free: int,
    method: MethodSettings,
    train: TrainSettings,
    *,
    recompute: bool = False,
    left: int | None = None,
) -> TunePlan:
    """The plan of gpt-oss '120b' or '20b', packed, on a GPU with `free` bytes. Raises InputError.

    torch's AdamW is assumed (bitsandbytes' needs less). Activations are recomputed where the
    trainer would do so, or with `recompute` wherever the method lets it. `left`: what the weights
    leave free, where not all of them are there.
    """
    config = known_config(name)
    weights, params = packed_bytes(config), num_parameters(config, method)
    left = 0 if recompute else max(0, free - weights if left is None else left)
    return make_tune_plan(
        config,
        model=f"openai/gpt-oss-{name}",
        weights=weights,
        method=method,
        num_params=params,
        what=f"{method.name}, {params / 1e6:.1f} M parameters",
        sequence_tokens=train.max_tokens,
        num_steps=train.num_steps,
        step_tokens=train.step_tokens,
        device="cuda",
        free=free,
        packed=True,
        recompute=must_recompute(config, method, train.max_tokens, left),
        tokens_per_s=None,
        resident=False,
        paged=False,
    )


def dry_run_table(name: str = "120b", free: float = 80e9) -> str:
    """A Markdown table of every method with its default settings; GB are 10^9 bytes."""
    lines = [HEADERS, ("---", *("--:" for _ in HEADERS[1:-1]), "---"), *dry_run_rows(name, free)]
    first, rule, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([first, rule.replace(" ", ""), *rest])


def dry_run_rows(name: str, free: float) -> list[tuple[str, ...]]:
    """The same as rows below `HEADERS`."""
    return [_row(name, free, method) for method in METHODS]


def _row(name: str, free: float, method: str) -> tuple[str, ...]:
    plan = dry_run(name, int(free), settings_of(method), TrainSettings())
    memory = plan.memory
    sizes = (memory.adapter, memory.gradients, memory.optimizer, memory.activations, plan.needed)
    figures = [f"{size / GB:.2f}" for size in sizes]
    return (method, f"{plan.asked.num_params:,}", *figures, verdict(plan))


def verdict(plan: TunePlan) -> str:
    """Whether a plan fits, in a word or two."""
    if not plan.fits:
        return "no"
    return "yes, recomputing" if plan.asked.recompute else "yes"
