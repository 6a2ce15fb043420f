"""A random checkpoint of gpt-oss's shapes as a GGUF, bit for bit: what llama.cpp reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.ggml import as_ggml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
OF_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.sinks": "attn_sinks.weight",
    "mlp.router": "ffn_gate_inp",
}
WIDE = ("norm.weight", "bias", "attn_sinks.weight", "ffn_gate_inp.weight")  # fp32 in llama.cpp


def renamed(key: str) -> str:
    """llama.cpp's name of a tensor beside the experts."""
    if key in NAMES:
        return NAMES[key]
    number, _, rest = key.removeprefix("model.layers.").partition(".")
    stem, _, kind = rest.rpartition(".")
    if rest in OF_LAYER:
        return f"blk.{number}.{OF_LAYER[rest]}"
    return f"blk.{number}.{OF_LAYER[stem]}.{kind}"


def expert_tensors(tensors: dict[str, Any], prefix: str, number: str) -> Iterator[tuple[str, Any]]:
    """(name, MXFP4 bytes or fp32) of one layer; gate and up are interleaved in the checkpoint."""
    for name, rows in (
        ("gate", slice(0, None, 2)),
        ("up", slice(1, None, 2)),
        ("down", slice(None)),
    ):
        key = prefix + ("down_proj" if name == "down" else "gate_up_proj")
        blocks, scales, bias = (tensors[f"{key}_{part}"] for part in ("blocks", "scales", "bias"))
        packed = as_ggml(blocks[:, rows], scales[:, rows])  # [E, N, K / 32, 17]
        yield f"blk.{number}.ffn_{name}_exps.weight", packed.flatten(-2).numpy()
        yield f"blk.{number}.ffn_{name}_exps.bias", bias[:, rows].float().contiguous().numpy()


def converted(tensors: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(llama.cpp's name, array) of the tensors of one file; uint8 is raw bf16 or MXFP4."""
    import torch

    for key, tensor in tensors.items():
        if ".experts." in key:
            continue
        name = renamed(key)
        is_wide = name.endswith(WIDE)
        yield name, (tensor.float() if is_wide else tensor.view(torch.uint8)).numpy()
    for key in tensors:
        if key.endswith("experts.down_proj_blocks"):
            prefix = key.removesuffix("down_proj_blocks")
            yield from expert_tensors(tensors, prefix, prefix.split(".")[2])


def write_header(writer: Any, config: dict[str, Any]) -> None:
    """What llama.cpp asks of its architecture gpt-oss; no vocabulary: we give token ids."""
    for add, key in (
        (writer.add_context_length, "max_position_embeddings"),
        (writer.add_embedding_length, "hidden_size"),
        (writer.add_block_count, "num_hidden_layers"),
        (writer.add_feed_forward_length, "intermediate_size"),
        (writer.add_expert_feed_forward_length, "intermediate_size"),
        (writer.add_head_count, "num_attention_heads"),
        (writer.add_head_count_kv, "num_key_value_heads"),
        (writer.add_key_length, "head_dim"),
        (writer.add_value_length, "head_dim"),
        (writer.add_expert_count, "num_local_experts"),
        (writer.add_expert_used_count, "num_experts_per_tok"),
        (writer.add_sliding_window, "sliding_window"),
        (writer.add_vocab_size, "vocab_size"),
    ):
        add(config[key])
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-5))
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_tokenizer_model("none")


def as_gguf(checkpoint: Path) -> Path:
    """`model.gguf` in the folder of a random checkpoint, written the first time (as large again).

    The values are the checkpoint's: experts in MXFP4, matrices in bf16.
    """
    from gguf import GGMLQuantizationType, GGUFWriter
    from safetensors.torch import load_file

    path, room = checkpoint / "model.gguf", checkpoint / "model.gguf.part"
    if path.exists():
        return path
    writer = GGUFWriter(room, "gpt-oss")
    write_header(writer, json.loads((checkpoint / "config.json").read_text()))
    for file in sorted(checkpoint.glob("*.safetensors")):
        for name, array in converted(load_file(file)):
            raw = (
                GGMLQuantizationType.MXFP4 if "_exps.weight" in name else GGMLQuantizationType.BF16
            )
            writer.add_tensor(name, array, raw_dtype=raw if array.dtype.kind == "u" else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    room.replace(path)
    return path
