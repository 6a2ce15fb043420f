"""Prefix tuning (arXiv 2101.00190): trained keys and values before each prompt, in every layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.model.given_cache import given_cache
from gptoss_magic.tuning.methods.method import LadderRung, Method, Rate, Sizes, counts
from gptoss_magic.tuning.settings import MethodSettings, option

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts


@dataclass(frozen=True)
class PrefixSettings(MethodSettings):
    """`num_virtual`: virtual tokens. Raises InputError below 1."""

    name = "prefix"
    num_virtual: int = option(16, ("-v", "--virtual"), "prompt, prefix: virtual tokens")

    def __post_init__(self) -> None:
        if self.num_virtual < 1:
            raise InputError(f"{self.num_virtual} virtual tokens: give a number above 0")


def apply(model: Model, context: Context) -> list[Any]:
    """One `Prefix`, begun with the keys and values of tokens of the data (or random ones)."""
    import torch

    from gptoss_magic.model.kv_cache import KVCache
    from gptoss_magic.model.parts import Prefix

    seen = [token for sequence in context.sequences for e in sequence for token in e.ids]
    wanted = context.settings.num_virtual
    if len(seen) < wanted:
        seen = torch.randint(model.config.vocab_size, (wanted,)).tolist()
    cache = KVCache(model.config)
    with torch.no_grad():
        ids = torch.tensor([seen[:wanted]], device=model.device)
        model.get_decoder()(ids, **given_cache(cache), use_cache=True)
    layers: list[Any] = list(cache.layers)
    states = [torch.cat([layer.keys, layer.values])[:, :, :wanted] for layer in layers]
    return [Prefix(torch.stack(states).float().clone())]


def _numbers(config: Config, settings: PrefixSettings, _experts: Counts) -> int:
    each = 2 * config["num_key_value_heads"] * config["head_dim"]
    return int(config["num_hidden_layers"] * each * settings.num_virtual)


def _branch_bytes(_config: Config) -> int:
    """Nothing: its keys and values are parameters."""
    return 0


METHOD = Method(
    name=PrefixSettings.name,
    help="trained keys and values before each prompt, in every layer",
    settings=PrefixSettings,
    apply=apply,
    sizes=Sizes(_numbers, _branch_bytes, recomputes=False),  # a second forward would fill its cache
    rate=Rate(5e-3, narrow=1),
    ladder=(
        LadderRung(6, "prefix", "prefix", counts("num_virtual", "v", "{} virtual tokens", 16, 4)),
    ),
)
