"""config.json as transformers' GptOssConfig, its values checked; what is left out has a default."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError

if TYPE_CHECKING:
    from gptoss_magic.model.checkpoint import Checkpoint

FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
LAYER_TYPES = ("full_attention", "sliding_attention")
COUNTS = (
    "num_hidden_layers",
    "num_local_experts",
    "num_experts_per_tok",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_size",
    "intermediate_size",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
)


def gpt_oss_config(checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """(GptOssConfig, notes); packed or not as the tensors say."""
    from transformers import GptOssConfig

    from gptoss_magic.model.quantizer import packed_config

    notes: list[str] = []
    values = copy.deepcopy(checkpoint.config)
    values["quantization_config"] = _quantization(checkpoint, notes)
    if values["quantization_config"] is None:
        del values["quantization_config"]
    _check_rope(checkpoint, values)
    _check_dtype(checkpoint, values)
    try:
        config = GptOssConfig.from_dict(values)
    except Exception as error:
        raise wrong(checkpoint, reason(error)) from error
    if checkpoint.path is not None:
        config.name_or_path = str(checkpoint.path)
    _check_values(checkpoint, config)
    return (packed_config(config) if checkpoint.is_packed else config), notes


def _quantization(checkpoint: Checkpoint, notes: list[str]) -> dict[str, Any] | None:
    """The quantization_config that the tensors have; config.json may have lost or kept one."""
    said = checkpoint.config.get("quantization_config")
    if said is not None and not isinstance(said, dict):
        raise wrong(checkpoint, f"quantization_config is {said!r}, not an object")
    method = said.get("quant_method") if said else None
    if said and method != "mxfp4":
        raise CheckpointError(
            f"{checkpoint.place}: quantised by {method!r}; this package runs MXFP4 and 16 or 32 "
            "bits: give openai/gpt-oss-20b or a bf16 checkpoint"
        )
    if checkpoint.is_packed:
        if not said:
            notes.append("config.json names no quantisation, but the experts are in MXFP4: so read")
        return said or {"quant_method": "mxfp4"}
    if said:
        notes.append("config.json says MXFP4, but the experts are not packed: read as they are")
    return None


def _check_rope(checkpoint: Checkpoint, values: dict[str, Any]) -> None:
    numbers = {"rope_theta": values.get("rope_theta")}
    for name in ("rope_parameters", "rope_scaling"):
        if isinstance(values.get(name), dict):
            numbers |= {
                f"{name}.{key}": value
                for key, value in values[name].items()
                if key not in ("rope_type", "type")
            }
    for name, value in numbers.items():
        if value is not None and not isinstance(value, (int, float)):
            raise wrong(checkpoint, f"{name} is {value!r}, not a number")


def _check_values(checkpoint: Checkpoint, config: Any) -> None:
    for name in COUNTS:
        if getattr(config, name) < 1:
            raise wrong(checkpoint, f"{name} is {getattr(config, name)}, which is less than 1")
    if config.num_experts_per_tok > config.num_local_experts:
        most = config.num_local_experts
        raise wrong(checkpoint, f"num_experts_per_tok is {config.num_experts_per_tok} of {most}")
    if config.num_attention_heads % config.num_key_value_heads:
        heads = f"{config.num_attention_heads} heads, {config.num_key_value_heads} key-value heads"
        raise wrong(checkpoint, f"{heads}: the first is no multiple of the second")
    kinds = set(config.layer_types)
    if kinds - set(LAYER_TYPES):
        raise wrong(checkpoint, f"layer_types has {min(kinds - set(LAYER_TYPES))!r}")
    if "sliding_attention" in kinds and (config.sliding_window or 0) < 1:
        raise wrong(checkpoint, f"sliding_window is {config.sliding_window}, no length")


def _check_dtype(checkpoint: Checkpoint, values: dict[str, Any]) -> None:
    for key in ("dtype", "torch_dtype"):
        dtype = values.get(key)
        if dtype is not None and dtype not in FLOATS.values():
            raise wrong(checkpoint, f"{key} is {dtype!r}; there are {', '.join(FLOATS.values())}")


def header_dtype(config: Any) -> str | None:
    """The headers' name of the dtype that a GptOssConfig asks for; None where it asks for none."""
    asked = str(config.dtype).removeprefix("torch.")
    return next((key for key, name in FLOATS.items() if name == asked), None)


def wrong(checkpoint: Checkpoint, what: str) -> CheckpointError:
    file = checkpoint.path / "config.json" if checkpoint.path else f"{checkpoint.name}: config.json"
    return CheckpointError(f"{file}: {what}; mend it, or download it again")


def reason(error: Exception) -> str:
    """The last line of an error, without the kinds of errors before it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().strip("'\"").removeprefix("TypeError: ").removeprefix("ValueError: ")
