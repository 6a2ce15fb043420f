"""Prompt tuning (arXiv 2104.08691): trained embeddings before each prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.tuning.methods.context import Context


def apply(model: Any, context: Context) -> list[Any]:
    """One `SoftPrompt`, begun with the embeddings of tokens of the data (or random ones)."""
    import torch

    from gptoss_magic.model.branches import SoftPrompt

    table = model.get_input_embeddings().weight
    seen = [token for sequence in context.sequences for e in sequence for token in e.ids]
    choose_from = torch.tensor(seen or range(len(table)))
    drawn = choose_from[torch.randint(len(choose_from), (context.settings.num_virtual,))]
    return [SoftPrompt(table[drawn.to(table.device)].detach().float().clone())]
