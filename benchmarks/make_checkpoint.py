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


def tensors(config: dict[str, Any]) -> dict[str, Any]:
    """Random tensors in the checkpoint's layout; about the spread of trained ones."""
    import torch

    draw = torch.Generator().manual_seed(0)
    hidden, inner, experts = 2880, 2880, config["num_local_experts"]

    def normal(*shape: int) -> Any:
        return (torch.randn(shape, generator=draw) * 0.02).bfloat16()

    def bytes_(low: int, high: int, *shape: int) -> Any:
        return torch.randint(low, high, shape, dtype=torch.uint8, generator=draw)

    made = {
        "model.embed_tokens.weight": normal(config["vocab_size"], hidden),
        "lm_head.weight": normal(config["vocab_size"], hidden),
        "model.norm.weight": torch.ones(hidden).bfloat16(),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            made[f"{layer}.{norm}.weight"] = torch.ones(hidden).bfloat16()
        for name, rows, columns in (
            ("q_proj", 4096, hidden),
            ("k_proj", 512, hidden),
            ("v_proj", 512, hidden),
            ("o_proj", hidden, 4096),
        ):
            made[f"{layer}.self_attn.{name}.weight"] = normal(rows, columns)
            made[f"{layer}.self_attn.{name}.bias"] = normal(rows)
        made[f"{layer}.self_attn.sinks"] = normal(64)
        made[f"{layer}.mlp.router.weight"] = normal(experts, hidden)
        made[f"{layer}.mlp.router.bias"] = normal(experts)
        for name, rows, columns in (
            ("gate_up_proj", 2 * inner, hidden),
            ("down_proj", hidden, inner),
        ):
            key = f"{layer}.mlp.experts.{name}"
            made[f"{key}_blocks"] = bytes_(0, 256, experts, rows, columns // 32, 16)
            made[f"{key}_scales"] = bytes_(117, 122, experts, rows, columns // 32)
            made[f"{key}_bias"] = normal(experts, rows)
    return made


def make(like: str, layers: int, out: Path, *, full_vocabulary: bool = False) -> Path:
    """Write the checkpoint to `out`; nothing is done where it stands already."""
    from safetensors.torch import save_file

    from gptoss_magic.testing import tiny_tokenizer

    if (out / "config.json").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    config = config_of(like, layers, full_vocabulary=full_vocabulary)
    tiny_tokenizer().save_pretrained(out)
    save_file(tensors(config), out / "model.safetensors")
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
