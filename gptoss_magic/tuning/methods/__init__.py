"""Tuning methods: what is trained, each in a file of its own; `METHODS` is the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning.methods import (
    adalora,
    experts,
    experts_full,
    heads,
    last_layers,
    lora,
    prefix,
    prompt,
    router,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.tuning.methods.context import Context

METHODS: dict[str, Callable[[Any, Context], list[Any]]] = {
    "experts": experts.apply,
    "lora": lora.apply,
    "router": router.apply,
    "router+experts": experts.apply,
    "experts-full": experts_full.apply,
    "last-layers": last_layers.apply,
    "heads": heads.apply,
    "adalora": adalora.apply,
    "prompt": prompt.apply,
    "prefix": prefix.apply,
}


def make_parts(model: Any, context: Context) -> list[Any]:
    """The parts of `context.settings.name`, new and seeded; not attached.

    'router+experts' gives the experts of its second stage: the first is a run of 'router'.
    Raises InputError where the settings do not suit the model.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        return METHODS[context.settings.name](model, context)
