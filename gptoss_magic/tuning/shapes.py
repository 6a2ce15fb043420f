"""Sizes from a config alone: weights, trained numbers, and what autograd keeps of a token.

Legend: H hidden size, I intermediate size, E experts, L layers, k experts a token, r rank.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.tuning.settings import MethodSettings

    Counts = Sequence[int] | None

NUM_LAYERS = {"120b": 36, "20b": 24}
NUM_EXPERTS = {"120b": 128, "20b": 32}
BLOCK = 32  # numbers that share an MXFP4 scale
ON_ATTENTION = ("lora", "adalora", "heads", "last-layers")
ON_EXPERTS = ("experts", "router+experts", "last-layers")


def known_config(name: str) -> dict[str, Any]:
    """The shapes of gpt-oss '120b' or '20b'. Raises InputError for another name."""
    if name not in NUM_LAYERS:
        raise InputError(f"model {name!r}: shapes are known of {' and '.join(NUM_LAYERS)}")
    return {
        "model_type": "gpt_oss",
        "num_hidden_layers": NUM_LAYERS[name],
        "num_local_experts": NUM_EXPERTS[name],
        "num_experts_per_tok": 4,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 201_088,
        "tie_word_embeddings": False,
    }


def packed_bytes(config: dict[str, Any]) -> int:
    """Bytes of a checkpoint whose experts are in MXFP4 and all else in bf16."""
    hidden, experts = config["hidden_size"], config["num_local_experts"]
    numbers = 3 * config["intermediate_size"] * hidden  # weights of one expert
    expert = numbers // 2 + numbers // BLOCK + 2 * (2 * config["intermediate_size"] + hidden)
    attention = sum(n_in * n_out + n_out for n_in, n_out in _projections(config))
    router = experts * (hidden + 1)
    rest = attention + config["num_attention_heads"] + router + 2 * hidden
    tables = 1 if config.get("tie_word_embeddings") else 2
    outside = tables * config["vocab_size"] * hidden + hidden
    layers = config["num_hidden_layers"] * (experts * expert + 2 * rest)
    return int(layers + 2 * outside)


def num_parameters(config: dict[str, Any], method: MethodSettings, experts: Counts = None) -> int:
    """How many numbers `method` trains, from shapes alone.

    `experts`: how many are trained in each layer, where the routing was measured. Without it hot
    and random ones are an upper estimate: the `coverage` hottest share of a layer's experts has
    at least that share of its routes. 'heads' counts every chosen head in a layer of its own, as
    many as there are layers at most. 'router+experts' counts its second stage.
    """
    return _COUNTS[method.name](config, method, experts)


def num_trained_experts(
    config: dict[str, Any], method: MethodSettings, experts: Counts = None
) -> list[int]:
    """By layer: how many experts have LoRA; see `num_parameters` for what is estimated."""
    layers, total = config["num_hidden_layers"], config["num_local_experts"]
    if method.name == "last-layers":
        return [0] * (layers - num_reached_layers(config, method)) + [total] * (
            num_reached_layers(config, method)
        )
    if method.choice == "all":
        found = [total] * layers
    else:
        most = method.num_experts or math.ceil(method.coverage * total)
        found = list(experts or [most] * layers)
    first = layers - (method.num_layers or layers)
    return [0 if layer < first else count for layer, count in enumerate(found)]


def num_reached_layers(config: dict[str, Any], method: MethodSettings) -> int:
    """Layers from the first trained one up: autograd keeps nothing of those below."""
    layers: int = config["num_hidden_layers"]
    if method.name == "last-layers":
        return min(layers, method.num_layers or 2)
    if method.name in ON_EXPERTS:
        return min(layers, method.num_layers or layers)
    return layers


def activation_bytes_per_token(
    config: dict[str, Any], method: MethodSettings | None = None, *, num_layers: int | None = None
) -> int:
    """What autograd keeps of a token for the backward, in a model in bf16 with packed experts.

    Of each layer: both norms' inputs in fp32; q, k, v and attention's output; of the k routes the
    input of the activation, and the output before its weight. Beside it what the branches of
    `method` keep (without one: of 'experts'). `num_layers`: of so many layers instead of all that
    the method reaches.
    """
    hidden, inner, routed = (
        config["hidden_size"],
        config["intermediate_size"],
        config["num_experts_per_tok"],
    )
    heads = config["num_attention_heads"] * config["head_dim"]
    cached = config["num_key_value_heads"] * config["head_dim"]
    kept = 8 * hidden + 4 * (heads + cached) + 2 * routed * (2 * inner + hidden)
    name = method.name if method else "experts"
    if name in ON_EXPERTS or name == "experts-full":
        kept += 2 * routed * (hidden + inner)
    if name in ON_ATTENTION:
        branches = 1 if name == "heads" else 3  # beside o's; each has its input in fp32
        kept += 4 * (branches * hidden + heads)
    if name == "router":
        kept += 4 * hidden
    if num_layers is None:
        num_layers = num_reached_layers(config, method) if method else config["num_hidden_layers"]
    return int(num_layers * kept)


def _projections(config: dict[str, Any]) -> list[tuple[int, int]]:
    """(in, out) of q, k, v and o."""
    hidden, size = config["hidden_size"], config["head_dim"]
    heads, cached = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    return [(hidden, heads), (hidden, cached), (hidden, cached), (heads, hidden)]


def _on_attention(config: dict[str, Any], rank: int, num_layers: int) -> int:
    return int(num_layers * rank * sum(n_in + n_out for n_in, n_out in _projections(config)))


def _lora(config: dict[str, Any], method: MethodSettings, _: Counts) -> int:
    return _on_attention(config, method.rank, config["num_hidden_layers"])


def _adalora(config: dict[str, Any], method: MethodSettings, _: Counts) -> int:
    rank = max(method.rank + 1, round(1.5 * method.rank))  # as `methods.adalora.apply` starts
    singular = config["num_hidden_layers"] * len(_projections(config)) * rank
    return _on_attention(config, rank, config["num_hidden_layers"]) + int(singular)


def _heads(config: dict[str, Any], method: MethodSettings, _: Counts) -> int:
    query, _, _, out = _projections(config)
    layers: int = min(method.num_heads, config["num_hidden_layers"])
    return layers * method.rank * (sum(query) + sum(out))


def _experts(config: dict[str, Any], method: MethodSettings, experts: Counts) -> int:
    each = 2 * config["hidden_size"] + 3 * config["intermediate_size"]
    return sum(num_trained_experts(config, method, experts)) * method.rank * int(each)


def _last_layers(config: dict[str, Any], method: MethodSettings, experts: Counts) -> int:
    attention = _on_attention(config, method.rank, num_reached_layers(config, method))
    return attention + _experts(config, method, experts)


def _experts_full(config: dict[str, Any], method: MethodSettings, _: Counts) -> int:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return (method.num_experts or 1) * int(3 * hidden * inner + 2 * inner + hidden)


def _router(config: dict[str, Any], _method: MethodSettings, _: Counts) -> int:
    experts: int = config["num_local_experts"]
    return config["num_hidden_layers"] * experts * (config["hidden_size"] + 1)  # type: ignore[no-any-return]


def _prompt(config: dict[str, Any], method: MethodSettings, _: Counts) -> int:
    return method.num_virtual * int(config["hidden_size"])


def _prefix(config: dict[str, Any], method: MethodSettings, _: Counts) -> int:
    each: int = 2 * config["num_key_value_heads"] * config["head_dim"]
    return config["num_hidden_layers"] * each * method.num_virtual  # type: ignore[no-any-return]


_COUNTS: dict[str, Callable[[dict[str, Any], MethodSettings, Counts], int]] = {
    "experts": _experts,
    "lora": _lora,
    "router": _router,
    "router+experts": _experts,
    "experts-full": _experts_full,
    "last-layers": _last_layers,
    "heads": _heads,
    "adalora": _adalora,
    "prompt": _prompt,
    "prefix": _prefix,
}
