"""Names that other tools give an adapter's tensors, brought to peft's.

peft's own file has `base_model.model.` once and no adapter's name. State dicts that were saved
without peft's writer (ms-swift, training loops) have the prefix twice or not at all, and
`lora_A.NAME.weight`. mlx-lm has a config of its own, turned matrices and `lora_a`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.peft_layout import BASE
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    Tensors = dict[str, torch.Tensor]

NAMED = re.compile(r"(.+\.lora_[ABE])\.(?!weight$)([^.]+)(?:\.weight)?")
SAVED = re.compile(r"(.+)\.modules_to_save\.([^.]+)\.(\w+)")
MLX_WEIGHTS = "adapters.safetensors"
MLX_FACTOR = re.compile(r"(.+)\.lora_([ab])")


def peft_names(tensors: Tensors) -> Tensors:
    """The tensors by peft's names without its prefix.

    Raises CheckpointError where the file holds several adapters, or one tensor twice.
    """
    adapters: set[str] = set()
    named: Tensors = {}
    for key, tensor in tensors.items():
        name = key
        while name.startswith(BASE):
            name = name.removeprefix(BASE)
        for pattern, plain in ((NAMED, r"\1.weight"), (SAVED, r"\1.\3")):
            if match := pattern.fullmatch(name):
                adapters.add(match[2])
                name = match.expand(plain)
        if name in named:
            raise CheckpointError(
                f"{name} is in the file twice, under two names: mixed files; get the adapter again"
            )
        named[name] = tensor
    if len(adapters) > 1:
        raise CheckpointError(
            f"{counted(len(adapters), 'adapter')} in one file "
            f"({', '.join(sorted(adapters))}): save them apart"
        )
    return named


def is_mlx(config: Mapping[str, Any]) -> bool:
    """True for the config that mlx-lm writes."""
    return "peft_type" not in config and bool({"fine_tune_type", "lora_parameters"} & set(config))


def peft_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Peft's config for one of mlx-lm's; the ranks are those of the tensors (see `from_mlx`).

    Raises CheckpointError for what is no plain LoRA.
    """
    kind = config.get("fine_tune_type", "lora")
    if kind != "lora":
        raise CheckpointError(
            f"an adapter of mlx-lm, fine_tune_type {kind!r}: only 'lora' can be attached; train "
            "it with fine_tune_type lora"
        )
    about = config.get("lora_parameters")
    scale = about.get("scale") if isinstance(about, dict) else None
    if isinstance(scale, bool) or not isinstance(scale, (int, float)):
        raise CheckpointError(
            "an adapter of mlx-lm whose lora_parameters give no scale; write one there"
        )
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": config.get("model"),
        "r": 1,
        "lora_alpha": float(scale),
    }


def from_mlx(tensors: Tensors, config: dict[str, Any]) -> Tensors:
    """mlx-lm's factors as peft's; `config` (of `peft_config`) is told their ranks.

    mlx-lm has y += scale · (x a) b with a [K, r] and b [r, N]; of experts a [E, r, K] and
    b [E, N, r], as the stacked experts that `split_experts` reads.
    """
    scale, turned = config["lora_alpha"], {}
    ranks: dict[str, int] = {}
    for key, tensor in tensors.items():
        match = MLX_FACTOR.fullmatch(key)
        if match is None:
            raise CheckpointError(
                f"{key}: an adapter of mlx-lm has lora_a and lora_b alone; get the adapter again"
            )
        module, letter = match[1], match[2].upper()
        is_stacked = ".experts." in module
        if letter == "B":
            ranks[module] = tensor.shape[-1] if is_stacked else tensor.shape[0]
        turned[f"{module}.lora_{letter}.weight"] = tensor if is_stacked else tensor.T.contiguous()
    routers = {f"{name}.weight": r for name, r in ranks.items() if name.endswith(".router")}
    config["rank_pattern"] = ranks | routers
    config["alpha_pattern"] = {name: scale * rank for name, rank in (ranks | routers).items()}
    return turned
