"""Plans of gpt-oss without a weight on the disk: shapes alone against a card's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.model.plan import GB
from gptoss_magic.tuning.plan import defaults, make_tune_plan, must_recompute
from gptoss_magic.tuning.settings import METHODS, MethodSettings
from gptoss_magic.tuning.shapes import known_config, num_parameters, packed_bytes

if TYPE_CHECKING:
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.settings import TrainSettings

MANY_ROWS = 1000  # one epoch
HEAD = (
    "| method | trained numbers | adapter | gradients | optimizer | activations | in all | fits |\n"
    "|---|--:|--:|--:|--:|--:|--:|---|"
)


def dry_run(name: str, method: MethodSettings, train: TrainSettings, free: int) -> TunePlan:
    """The plan for gpt-oss '120b' or '20b' on one GPU with `free` bytes, from its shapes alone.

    torch's AdamW is assumed (bitsandbytes' needs less); activations are recomputed where the
    trainer would. Raises InputError for another name.
    """
    config = known_config(name)
    weights, params = packed_bytes(config), num_parameters(config, method)
    left = max(0, free - weights)
    return make_tune_plan(
        config,
        method,
        train,
        model=f"openai/gpt-oss-{name}",
        what=f"{method.name}: {params / 1e6:.1f} M parameters",
        num_params=params,
        device="cuda",
        weights=weights,
        free=free,
        packed=True,
        recompute=must_recompute(config, method, train.max_tokens, left),
        num_steps=train.num_steps,
        paged=False,
    )


def dry_run_table(name: str = "120b", free: float = 80e9) -> str:
    """A Markdown table: what each method needs with its defaults, in GB (10^9 bytes)."""
    return "\n".join([HEAD, *(_row(name, int(free), MethodSettings(name=m)) for m in METHODS)])


def _row(name: str, free: int, method: MethodSettings) -> str:
    plan = dry_run(name, method, defaults(method, known_config(name), MANY_ROWS), free)
    memory = plan.memory
    sizes = (memory.adapter, memory.gradients, memory.optimizer, memory.activations, plan.needed)
    cells = " | ".join(f"{size / GB:.2f}" for size in sizes)
    verdict = ("yes, recomputing" if plan.asked.recompute else "yes") if plan.fits else "no"
    return f"| {method.name} | {plan.asked.num_params:,} | {cells} | {verdict} |"
