"""A random checkpoint of true shapes: python -m benchmarks.make_checkpoint --layers N OUT.

The vocabulary shrinks with the layers (unless --full-vocabulary), so that the head keeps the share
of the bytes that it has in the whole model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SHAPES = {"20b": (24, 32), "120b": (36, 128)}  # layers, experts
VOCABULARY = 201_088


def config_of(like: str, layers: int, *, full_vocabulary: bool) -> dict[str, Any]:
    """config.json of gpt-oss with fewer layers."""
    all_layers, experts = SHAPES[like]
    vocabulary = VOCABULARY * layers // all_layers // 64 * 64
    kinds = ("sliding_attention", "full_attention")
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "dtype": "bfloat16",
        "num_hidden_layers": layers,
        "num_local_experts": experts,
        "num_experts_per_tok": 4,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": VOCABULARY if full_vocabulary else vocabulary,
        "sliding_window": 128,
        "layer_types": [kinds[i % 2] for i in range(layers)],
        "max_position_embeddings": 131_072,
        "rope_parameters": {"rope_type": "default", "rope_theta": 150_000.0},
        "tie_word_embeddings": False,
        "eos_token_id": [5, 6],
        "pad_token_id": 0,
        "quantization_config": {"quant_method": "mxfp4"},
    }


def normal(draw: Any, *shape: int) -> Any:
    """bf16 of about the spread of trained weights."""
    import torch

    return (torch.randn(shape, generator=draw) * 0.02).bfloat16()


def outer_tensors(config: dict[str, Any]) -> dict[str, Any]:
    """Embedding, head and last norm."""
    import torch

    draw, hidden = torch.Generator().manual_seed(0), config["hidden_size"]
    return {
        "model.embed_tokens.weight": normal(draw, config["vocab_size"], hidden),
        "lm_head.weight": normal(draw, config["vocab_size"], hidden),
        "model.norm.weight": torch.ones(hidden).bfloat16(),
    }


def layer_tensors(config: dict[str, Any], number: int) -> dict[str, Any]:
    """One layer in the checkpoint's layout."""
    import torch

    draw = torch.Generator().manual_seed(number + 1)
    hidden, inner, experts = (
        config[key] for key in ("hidden_size", "intermediate_size", "num_local_experts")
    )
    queries, keys = (
        config[key] * config["head_dim"] for key in ("num_attention_heads", "num_key_value_heads")
    )
    made = {
        "self_attn.sinks": normal(draw, config["num_attention_heads"]),
        "mlp.router.weight": normal(draw, experts, hidden),
        "mlp.router.bias": normal(draw, experts),
    }
    for norm in ("input_layernorm", "post_attention_layernorm"):
        made[f"{norm}.weight"] = torch.ones(hidden).bfloat16()
    for name, rows, columns in (
        ("q_proj", queries, hidden),
        ("k_proj", keys, hidden),
        ("v_proj", keys, hidden),
        ("o_proj", hidden, queries),
    ):
        made[f"self_attn.{name}.weight"] = normal(draw, rows, columns)
        made[f"self_attn.{name}.bias"] = normal(draw, rows)
    for name, rows, columns in (("gate_up_proj", 2 * inner, hidden), ("down_proj", hidden, inner)):
        key, blocks = f"mlp.experts.{name}", (experts, rows, columns // 32)
        made[f"{key}_blocks"] = torch.randint(
            0, 256, (*blocks, 16), dtype=torch.uint8, generator=draw
        )
        made[f"{key}_scales"] = torch.randint(117, 122, blocks, dtype=torch.uint8, generator=draw)
        made[f"{key}_bias"] = normal(draw, experts, rows)
    return {f"model.layers.{number}.{key}": value for key, value in made.items()}


def make(like: str, layers: int, out: Path, *, full_vocabulary: bool = False) -> Path:
    """Write the checkpoint to `out`, a file a layer; nothing is done where it stands already."""
    from safetensors.torch import save_file

    from gptoss_magic.testing import tiny_tokenizer

    if (out / "config.json").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    config = config_of(like, layers, full_vocabulary=full_vocabulary)
    tiny_tokenizer().save_pretrained(out)
    weight_map: dict[str, str] = {}
    for number in range(-1, layers):
        state = layer_tensors(config, number) if number >= 0 else outer_tensors(config)
        name = f"model-{number + 1:05d}.safetensors"
        save_file(state, out / name)
        weight_map |= dict.fromkeys(state, name)
    index = {"metadata": {}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))
    (out / "config.json").write_text(json.dumps(config, indent=2))
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.make_checkpoint")
    parser.add_argument("--like", choices=sorted(SHAPES), default="20b")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--full-vocabulary", action="store_true")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    print(make(given.like, given.layers, given.out, full_vocabulary=given.full_vocabulary))
