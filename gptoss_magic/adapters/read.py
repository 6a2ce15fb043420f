"""peft's adapter directory to an `Adapter`. Everything is checked before anything changes.

Legend: E experts, H hidden size, I intermediate size, K in, N out, r rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.adapter import Adapter
from gptoss_magic.adapters.dialects import (
    MLX_WEIGHTS,
    from_mlx,
    is_mlx,
    peft_config,
    peft_names,
)
from gptoss_magic.adapters.layout import (
    CONFIG,
    OWN_CONFIG,
    OWN_WEIGHTS,
    WEIGHTS,
)
from gptoss_magic.adapters.lora_parts import LoraReader
from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.checkpoint import read_json
from gptoss_magic.model.config import FLOATS
from gptoss_magic.model.headers import read_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from gptoss_magic.model.parts import Part
    from gptoss_magic.model.protocol import Model

LORA, PROMPT, PREFIX = ("LORA", "ADALORA"), ("PROMPT_TUNING", "P_TUNING"), ("PREFIX_TUNING",)
OTHER = {
    "use_dora": "DoRA",
    "lora_bias": "biases beside LoRA (lora_bias)",
    "trainable_token_indices": "trained token embeddings",
    "alora_invocation_tokens": "activated LoRA (alora)",
    "layer_replication": "replicated layers",
    "arrow_config": "Arrow routing",
    "kasa_config": "KaSA, which changes the base weights,",
    "use_bdlora": "block-diagonal LoRA",
}
QLORA = {"use_qalora": "QALoRA", "loftq_config": "LoftQ"}
CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
AGAIN = "get the adapter again"
NO_QLORA = (
    "it belongs to a 4-bit copy of the weights in another format; from MXFP4 that would add about "
    "7 % error to the experts: train LoRA beside the packed experts instead"
)


def read_adapter(path: str | Path, model: Model, name: str = "") -> Adapter:
    """Read a directory of peft's (or `write_adapter`'s) for `model`; its parts are not trainable.

    Raises CheckpointError, in one line, for what is missing, damaged, not for this model, or
    cannot be attached.
    """
    folder = Path(path).expanduser()
    own, config = _configs(folder)
    if is_mlx(config):
        config, tensors = _mlx(folder, config)
    else:
        _check_config(config, folder)
        ours_alone = "config" in own and not (folder / WEIGHTS).exists()
        tensors = {} if ours_alone else _tensors(_weights(folder))
    extra = _tensors(folder / OWN_WEIGHTS) if (folder / OWN_WEIGHTS).exists() else {}
    try:
        parts, notes = _parts(tensors, extra, config, own, model)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: damaged ({error}); get the adapter again") from error
    for part in parts:
        part.requires_grad_(requires_grad=False)
    place = folder.resolve()
    return Adapter(name or place.name, tuple(parts), config, str(place), tuple(notes))


def _mlx(folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """An adapter of mlx-lm as peft would have written it."""
    try:
        theirs = peft_config(config)
        return theirs, from_mlx(_tensors(_weights(folder, MLX_WEIGHTS)), theirs)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def _configs(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(ours, peft's): what the directory says about itself."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such directory; give an adapter's directory")
    own = read_json(folder / OWN_CONFIG, AGAIN) if (folder / OWN_CONFIG).exists() else {}
    if own and own.get("format") != 1:
        raise CheckpointError(f"{folder / OWN_CONFIG}: another format; upgrade gptoss_magic")
    if (folder / CONFIG).exists():
        return own, read_json(folder / CONFIG, AGAIN)
    if "config" not in own:
        raise CheckpointError(f"{folder}: no {CONFIG} here; give a directory that peft wrote")
    if not isinstance(own["config"], dict):
        raise CheckpointError(f"{folder / OWN_CONFIG}: config is damaged; get the adapter again")
    return own, own["config"]


def _check_config(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse, by name, what cannot stand beside a gpt-oss model."""
    kind = config.get("peft_type")
    if kind is None:
        raise CheckpointError(f"{folder}: {CONFIG} names no peft_type; get the adapter again")
    if kind not in (*LORA, *PROMPT, *PREFIX):
        known = ", ".join((*LORA, *PROMPT, *PREFIX))
        raise CheckpointError(f"{folder}: {kind} cannot be attached; there are {known}")
    mapping = config.get("auto_mapping")
    base = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    if base not in (None, "GptOssForCausalLM"):
        raise CheckpointError(
            f"{folder}: made for {base}, not for GptOssForCausalLM; give an adapter of gpt-oss"
        )
    for option, about in QLORA.items():
        if config.get(option):
            raise CheckpointError(f"{folder}: {about} cannot be attached: {NO_QLORA}")
    for option, about in OTHER.items():
        if config.get(option):
            raise CheckpointError(f"{folder}: {about} cannot be attached; train plain LoRA")
    if config.get("bias") not in (None, "none"):
        raise CheckpointError(f"{folder}: trained biases cannot be attached; use bias='none'")
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.startswith(CHANGES_BASE):
        raise CheckpointError(
            f"{folder}: {init} changes the base weights; save it in peft with "
            "path_initial_model_for_weight_conversion"
        )


def _parts(
    tensors: dict[str, torch.Tensor],
    extra: dict[str, torch.Tensor],
    config: dict[str, Any],
    own: dict[str, Any],
    model: Model,
) -> tuple[list[Part], list[str]]:
    """(parts, notes)."""
    from gptoss_magic.model.parts import Prefix, SoftPrompt

    soft = dict.fromkeys(PROMPT, SoftPrompt) | dict.fromkeys(PREFIX, Prefix)
    kind = soft.get(config["peft_type"])
    if kind is not None:
        return [_soft(tensors, kind, model)], []
    reader = LoraReader(model, config, own, extra)
    parts = reader.parts(peft_names(tensors))
    if not parts:
        raise CheckpointError("it has nothing to attach; get the adapter again")
    return parts, reader.notes


def _weights(folder: Path, name: str = WEIGHTS) -> Path:
    """The safetensors file. Raises CheckpointError where there is only a pickle, or nothing."""
    file = folder / name
    if file.is_file():
        return file
    pickle = next(folder.glob("*.bin"), None)
    if pickle is not None:
        raise CheckpointError(
            f"{pickle}: a pickle, which can run code when it is opened; save the adapter in peft "
            "with safe_serialization=True"
        )
    raise CheckpointError(f"{folder}: no {name} here; get the adapter again")


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, fp32, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        header = read_header(file)
        wrong = [key for key, tensor in header.items() if tensor.dtype not in FLOATS]
        if wrong:
            kind = header[wrong[0]].dtype
            raise CheckpointError(
                f"{file}: {wrong[0]} is in {kind}: it holds no finite numbers; save it in bf16 or "
                "fp32"
            )
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: damaged ({error}); get the adapter again") from error
    wrong = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    if wrong:
        raise CheckpointError(f"{file}: {wrong[0]} holds what is no finite number; train it anew")
    return {key: tensor.float() for key, tensor in tensors.items()}


def _soft(tensors: Mapping[str, torch.Tensor], kind: Any, model: Model) -> Part:
    """The part of `prompt_embeddings` [n, width]; `kind`: a class of `model.parts` that is soft."""
    strays = sorted(set(tensors) - {"prompt_embeddings"})
    if strays:
        raise CheckpointError(
            f"{strays[0]}: only prompt_embeddings can be attached here; get the adapter again"
        )
    flat, width = tensors["prompt_embeddings"], kind.width(model.config)
    if flat.dim() != 2 or flat.shape[1] != width or not len(flat):
        raise CheckpointError(
            f"prompt_embeddings {list(flat.shape)}: this model takes [n, {width}]; it was trained "
            "for another one: load that one"
        )
    part: Part = kind.from_peft(flat, model.config).to(model.device)
    return part
