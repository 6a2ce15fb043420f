"""A tiny random gpt-oss model for tests: 2 layers, 8 experts, built in well under a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SPECIAL = ("endoftext", "start", "end", "message", "channel", "return", "call", "constrain")


def tiny_tokenizer() -> Any:
    """A byte-level tokenizer with harmony's special tokens: ids 0 to 7, then the 256 bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    wrap: Any = PreTrainedTokenizerFast
    special = [f"<|{name}|>" for name in SPECIAL]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate([*special, *letters])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    return wrap(tokenizer_object=made, eos_token=special[5], pad_token=special[0])


def tiny_model(seed: int = 0, **config: Any) -> tuple[Any, Any]:
    """(model, tokenizer): a random GptOssForCausalLM in fp32; `config` overrides its settings."""
    import torch
    from transformers import GptOssConfig, GptOssForCausalLM

    settings: dict[str, Any] = {
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "head_dim": 16,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(SPECIAL) + 256,
        "sliding_window": 128,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 150_000.0},
        "pad_token_id": 0,
        "eos_token_id": [5, 6],
        "bos_token_id": None,
        "initializer_range": 0.08,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = GptOssForCausalLM(GptOssConfig(**(settings | config)))
    return model.eval(), tiny_tokenizer()


def tiny_checkpoint(
    path: Path | str, seed: int = 0, *, packed: bool = False, **config: Any
) -> Path:
    """Write the tiny model as a checkpoint directory that `%gptoss load PATH` takes.

    `packed`: bf16, the experts in MXFP4, as in the gpt-oss checkpoints.
    """
    model, tokenizer = tiny_model(seed, **config)
    tokenizer.save_pretrained(path)
    if packed:
        return _save_packed(model.bfloat16(), Path(path))
    model.save_pretrained(path)
    return Path(path)


def _save_packed(model: Any, path: Path) -> Path:
    import json

    from safetensors.torch import save_file

    from gptoss_magic.model.mxfp4 import quantize

    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    for key in [key for key in state if key.endswith(("gate_up_proj", "down_proj"))]:
        weights = quantize(state.pop(key).transpose(1, 2))
        state |= {f"{key}_blocks": weights[0], f"{key}_scales": weights[1]}
    config = {**model.config.to_dict(), "quantization_config": {"quant_method": "mxfp4"}}
    (path / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    save_file({k: v.contiguous() for k, v in state.items()}, path / "model.safetensors")
    return path
