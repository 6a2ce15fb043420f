"""Prefix tuning (arXiv 2101.00190): trained keys and values before each prompt, in every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.tuning.methods.context import Context


def apply(model: Any, context: Context) -> list[Any]:
    """One `Prefix`, begun with the keys and values of tokens of the data (or random ones)."""
    import torch

    from gptoss_magic.model.branches import Prefix
    from gptoss_magic.model.kv_cache import KVCache

    seen = [token for sequence in context.sequences for e in sequence for token in e.ids]
    wanted = context.settings.num_virtual
    if len(seen) < wanted:
        seen = torch.randint(model.config.vocab_size, (wanted,)).tolist()
    cache = KVCache(model.config)
    with torch.no_grad():
        ids = torch.tensor([seen[:wanted]], device=model.device)
        model.get_decoder()(ids, past_key_values=cache, use_cache=True)
    layers: list[Any] = list(cache.layers)
    states = [torch.cat([layer.keys, layer.values])[:, :, :wanted] for layer in layers]
    return [Prefix(torch.stack(states).float().clone())]
