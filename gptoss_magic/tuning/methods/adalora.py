"""AdaLoRA (arXiv 2303.10512): LoRA as P·Λ·Q whose singular values share one budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning.methods import lora
from gptoss_magic.tuning.methods.method import AxolotlWords, LadderRung, Method, Sizes, ranks
from gptoss_magic.tuning.shapes import projections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts, Step

START = 1.5  # initial rank over the final mean rank
FIRST, LAST = 0.1, 0.7  # shares of the run at which pruning begins and ends
ORTHOGONAL = 0.1  # weight of the penalty for P and Q that are not orthogonal
MOMENTS = 8  # bytes of a number's two smoothed importances


@dataclass(frozen=True)
class AdaLoraSettings(lora.LoraSettings):
    """`rank`: what remains on average."""

    name = "adalora"


def apply(model: Model, context: Context) -> list[Any]:
    """`SvdLora` on attention's projections, of 1.5 times the rank that will remain on average."""
    from gptoss_magic.tuning.methods.svd import SvdLora

    rank = first_rank(context.settings)
    plain = lora.attention_parts(model, context, range(model.config.num_hidden_layers))
    scaling = context.scaling
    return [
        SvdLora(part.target, part.b.shape[0], part.a.shape[1], rank, scaling).to(model.device)
        for part in plain
    ]


def first_rank(settings: AdaLoraSettings) -> int:
    """The rank that each branch begins with."""
    return max(settings.rank + 1, round(START * settings.rank))


def after_backward(parts: Sequence[Any], rank: int) -> Any:
    """The step's own part: importance is smoothed, and what exceeds the budget is set to zero."""

    def allocate(step: int, num_steps: int) -> None:
        for part in parts:
            part.observe()
        budget = budget_of(step, num_steps, sum(len(p.lam) for p in parts), rank * len(parts))
        keep_most_important(parts, budget)

    return allocate


def penalty(parts: Sequence[Any]) -> Any:
    """‖PᵀP − I‖² + ‖QQᵀ − I‖², averaged over the parts and weighted."""
    return lambda: ORTHOGONAL * sum(part.penalty() for part in parts) / len(parts)


def budget_of(step: int, num_steps: int, start: int, end: int) -> int:
    """Singular values that remain: cubic from `start` to `end` (equation 12)."""
    first, last = FIRST * num_steps, LAST * num_steps
    if step < first:
        return start
    if step >= last:
        return end
    return end + round((start - end) * (1 - (step - first) / (last - first)) ** 3)


def keep_most_important(parts: Sequence[Any], budget: int) -> None:
    """Zero every singular value that is not among the `budget` most important ones."""
    import torch

    scores = torch.cat([part.importance() for part in parts])
    if budget >= len(scores):
        return
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept[scores.topk(budget).indices] = True
    with torch.no_grad():
        for part, mask in zip(parts, torch.split(kept, [len(p.lam) for p in parts]), strict=True):
            part.lam *= mask


def _step(parts: Sequence[Any], settings: AdaLoraSettings) -> Step:
    return after_backward(parts, settings.rank), penalty(parts)


def _numbers(config: Config, settings: AdaLoraSettings, _experts: Counts) -> int:
    rank, layers = first_rank(settings), int(config["num_hidden_layers"])
    singular = layers * len(projections(config)) * rank
    return lora.num_parameters(config, rank, layers) + singular


def _part(described: Mapping[str, Any], zeros: Mapping[str, Any]) -> Any:
    from gptoss_magic.tuning.methods.svd import SvdLora

    shape = (zeros["p"].shape[0], zeros["q"].shape[1], len(zeros["lam"]))
    return SvdLora(described["target"], *shape, described["scaling"])


METHOD = Method(
    name=AdaLoraSettings.name,
    help="LoRA on attention whose projections share one budget of rank",
    settings=AdaLoraSettings,
    apply=apply,
    sizes=Sizes(_numbers, lora.branch_bytes, state_bytes=MOMENTS),
    rate=lora.RATE,
    step=_step,
    parts={"SvdLora": _part},
    axolotl=AxolotlWords(lora.NAMES, lost="adalora: written as LoRA of one rank"),
    ladder=(LadderRung(8, "adalora", "AdaLoRA on attention", ranks(8, 4)),),
)
