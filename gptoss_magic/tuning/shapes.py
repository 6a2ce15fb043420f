"""Sizes of the base model from a config alone: its weights, and what autograd keeps of a token.

Legend: H hidden size, I intermediate size, E experts, L layers, k experts a token, r rank.
"""

from __future__ import annotations

from typing import Any

from gptoss_magic.errors import InputError

NUM_LAYERS = {"120b": 36, "20b": 24}
NUM_EXPERTS = {"120b": 128, "20b": 32}
BLOCK = 32  # numbers that share an MXFP4 scale


def known_config(name: str) -> dict[str, Any]:
    """The shapes of gpt-oss '120b' or '20b'. Raises InputError for another name."""
    if name not in NUM_LAYERS:
        raise InputError(
            f"model {name!r}: shapes are known of {' and '.join(NUM_LAYERS)}: give one of those"
        )
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
        "sliding_window": 128,  # of every second layer
        "vocab_size": 201_088,
        "tie_word_embeddings": False,
    }


def unpacked_bytes(config: dict[str, Any]) -> int:
    """Bytes of the same checkpoint with its experts in bf16, as peft needs them for a backward."""
    numbers = 3 * config["intermediate_size"] * config["hidden_size"]
    packed = numbers // 2 + numbers // BLOCK
    experts = config["num_hidden_layers"] * config["num_local_experts"]
    return packed_bytes(config) + int(experts * (2 * numbers - packed))


def width(config: dict[str, Any]) -> int:
    """Bytes of a number where weights are not packed: 4 in fp32, else 2."""
    return 4 if str(config.get("dtype", "")).endswith("float32") else 2


def table_numbers(config: dict[str, Any]) -> int:
    """V·H of the embeddings, and of an output head that is not tied to them."""
    tables = 1 if config.get("tie_word_embeddings") else 2
    return int(tables * config["vocab_size"] * config["hidden_size"])


def experts_numbers(config: dict[str, Any]) -> int:
    """Weights and biases of all experts of all layers."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    expert = 3 * inner * hidden + 2 * inner + hidden
    return int(config["num_hidden_layers"] * config["num_local_experts"] * expert)


def all_numbers(config: dict[str, Any]) -> int:
    """Every weight of the model, tied ones once."""
    layers = config["num_hidden_layers"] * layer_rest(config)
    outside = table_numbers(config) + config["hidden_size"]
    return int(experts_numbers(config) + layers + outside)


def layer_rest(config: dict[str, Any]) -> int:
    """Weights of a layer without its experts: attention, sinks, router, both norms."""
    attention = sum(n_in * n_out + n_out for n_in, n_out in projections(config))
    router = config["num_local_experts"] * (config["hidden_size"] + 1)
    return int(attention + config["num_attention_heads"] + router + 2 * config["hidden_size"])


def experts_bytes(config: dict[str, Any]) -> int:
    """Bytes of all experts of all layers: MXFP4, their biases in bf16."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    numbers = 3 * inner * hidden  # weights of one expert
    expert = numbers // 2 + numbers // BLOCK + 2 * (2 * inner + hidden)
    return int(config["num_hidden_layers"] * config["num_local_experts"] * expert)


def packed_bytes(config: dict[str, Any]) -> int:
    """Bytes of a checkpoint whose experts are in MXFP4 and all else in bf16."""
    outside = table_numbers(config) + config["hidden_size"]
    layers = config["num_hidden_layers"] * 2 * layer_rest(config)
    return int(experts_bytes(config) + layers + 2 * outside)


def layer_bytes(config: dict[str, Any]) -> int:
    """What autograd keeps of a token and layer for the backward, with packed experts and in bf16.

    Both norms' inputs in fp32; q, k, v and attention's output; of the k routes the input of the
    activation, and the output before its weight.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    cached = config["num_key_value_heads"] * config["head_dim"]
    attention = 4 * (queries_width(config) + cached)
    return int(8 * hidden + attention + 2 * config["num_experts_per_tok"] * (2 * inner + hidden))


def queries_width(config: dict[str, Any]) -> int:
    """A·D: all heads' queries together."""
    return int(config["num_attention_heads"] * config["head_dim"])


def projections(config: dict[str, Any]) -> list[tuple[int, int]]:
    """(in, out) of q, k, v and o."""
    hidden, size = config["hidden_size"], config["head_dim"]
    heads, cached = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    return [(hidden, heads), (hidden, cached), (hidden, cached), (heads, hidden)]
