"""Prompt tuning (arXiv 2104.08691): trained embeddings before each prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.methods.method import LadderRung, Method, Rate, Sizes, counts
from gptoss_magic.tuning.settings import MethodSettings, option

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts


@dataclass(frozen=True)
class PromptSettings(MethodSettings):
    """`num_virtual`: virtual tokens. Raises InputError below 1."""

    name = "prompt"
    num_virtual: int = option(16, ("-v", "--virtual"), "prompt, prefix: virtual tokens")

    def __post_init__(self) -> None:
        if self.num_virtual < 1:
            raise InputError(f"{self.num_virtual} virtual tokens: give a number above 0")


def apply(model: Model, context: Context) -> list[Any]:
    """One `SoftPrompt`, begun with the embeddings of tokens of the data (or random ones)."""
    import torch

    from gptoss_magic.model.parts import SoftPrompt

    table = model.get_input_embeddings().weight
    seen = [token for sequence in context.sequences for e in sequence for token in e.ids]
    choose_from = torch.tensor(seen or range(len(table)))
    drawn = choose_from[torch.randint(len(choose_from), (context.settings.num_virtual,))]
    return [SoftPrompt(table[drawn.to(table.device)].detach().float().clone())]


def _numbers(config: Config, settings: PromptSettings, _experts: Counts) -> int:
    return settings.num_virtual * int(config["hidden_size"])


def _branch_bytes(_config: Config) -> int:
    """Nothing: it stands before the layers."""
    return 0


METHOD = Method(
    name=PromptSettings.name,
    help="virtual tokens before each prompt",
    settings=PromptSettings,
    apply=apply,
    sizes=Sizes(_numbers, _branch_bytes),
    rate=Rate(1e-2, narrow=1),
    ladder=(
        LadderRung(
            6, "soft-prompt", "soft prompt", counts("num_virtual", "v", "{} virtual tokens", 16, 4)
        ),
    ),
)
