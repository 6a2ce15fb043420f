"""peft's layout of an adapter, both ways: names of tensors, the order of experts, the config.

Source: peft 0.21's ParamWrapper and PeftModel.get_prompt. In peft lora_A of experts is
expert-slowest [E·r, K], lora_B expert-fastest [N, r·E].
Legend: E experts, n chosen ones, K in, N out, r rank, L layers, D head size.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch

    from gptoss_magic.model.branches import Part

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OWN_CONFIG, OWN_WEIGHTS = "gptoss_magic.json", "gptoss_magic.safetensors"
BASE = "base_model.model."
PROJECTIONS = ("gate_up_proj", "down_proj")
MOST_PATTERN = 200


def experts_from_peft(
    a: torch.Tensor, b: torch.Tensor, num_experts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(A [E·r, K], B [N, r·E]) of peft to (A [E, r, K], B [E, N, r])."""
    a_ErK = a.reshape(num_experts, -1, a.shape[1])
    b_ENr = b.reshape(b.shape[0], -1, num_experts).permute(2, 0, 1)
    return a_ErK.contiguous(), b_ENr.contiguous()


def experts_to_peft(
    a_nrK: torch.Tensor, b_nNr: torch.Tensor, experts: Sequence[int], num_experts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The reverse; experts that are not among `experts` get zeros."""
    a_ErK = a_nrK.new_zeros(num_experts, *a_nrK.shape[1:])
    b_ENr = b_nNr.new_zeros(num_experts, *b_nNr.shape[1:])
    a_ErK[list(experts)], b_ENr[list(experts)] = a_nrK, b_nNr
    return a_ErK.flatten(0, 1), b_ENr.permute(1, 2, 0).flatten(1).contiguous()


def prefix_from_peft(flat: torch.Tensor, num_layers: int, head_dim: int) -> torch.Tensor:
    """Keys and values [n, L·2·heads·D] to [L, 2, heads, n, D]."""
    return flat.reshape(len(flat), num_layers, 2, -1, head_dim).permute(1, 2, 3, 0, 4).contiguous()


def prefix_to_peft(states: torch.Tensor) -> torch.Tensor:
    """The reverse."""
    return states.permute(3, 0, 1, 2, 4).flatten(1).contiguous()


def key_of(part: Part) -> str:
    """The name that peft's patterns match: of the module, or of the parameter."""
    from gptoss_magic.model.branches import ExpertLora, RouterLora

    if isinstance(part, ExpertLora):
        return f"{part.target}.{part.projection}"
    return f"{part.target}.weight" if isinstance(part, RouterLora) else part.target


def config_of(parts: Sequence[Part], base_model_name: str) -> dict[str, Any]:
    """The adapter_config of peft for `parts`, each target by its full name.

    Raises InputError for what one adapter of peft cannot hold together.
    """
    from gptoss_magic.model.branches import Prefix, SoftPrompt

    about: dict[str, Any] = {
        "base_model_name_or_path": base_model_name,
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
    }
    soft = next((part for part in parts if isinstance(part, (SoftPrompt, Prefix))), None)
    if soft is None:
        return about | _lora_config(parts)
    if len(parts) > 1:
        raise InputError("a soft prompt or prefix and other parts: write them as two adapters")
    if isinstance(soft, SoftPrompt):
        shape = {"num_virtual_tokens": len(soft), "token_dim": soft.embeddings.shape[1]}
        return about | {"peft_type": "PROMPT_TUNING", "num_transformer_submodules": 1} | shape
    layers, _, heads, length, size = soft.states.shape
    return about | {
        "peft_type": "PREFIX_TUNING",
        "num_virtual_tokens": length,
        "token_dim": heads * size,
        "num_attention_heads": heads,
        "num_layers": layers,
        "num_transformer_submodules": 1,
        "encoder_hidden_size": heads * size,
        "prefix_projection": False,
    }


def _lora_config(parts: Sequence[Part]) -> dict[str, Any]:
    from gptoss_magic.model.branches import ExpertLora, LinearLora, RouterDelta, RouterLora

    lora = [part for part in parts if isinstance(part, (LinearLora, RouterLora, ExpertLora))]
    keys = [key_of(part) for part in lora]
    whole = [part.target for part in parts if isinstance(part, RouterDelta)]
    _check_distinct([*keys, *whole, *(part.target for part in lora if _is_router(part))])
    ranks = {key: part.a.shape[-2] for key, part in zip(keys, lora, strict=True)}
    alphas = {key: alpha_of(p.scaling, ranks[key]) for key, p in zip(keys, lora, strict=True)}
    rank, alpha = _usual(ranks.values(), 1), _usual(alphas.values(), 1)
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": [k for k, p in zip(keys, lora, strict=True) if isinstance(p, LinearLora)],
        "target_parameters": [
            k for k, p in zip(keys, lora, strict=True) if not isinstance(p, LinearLora)
        ]
        or None,
        "modules_to_save": whole or None,
        "rank_pattern": {key: r for key, r in ranks.items() if r != rank},
        "alpha_pattern": {key: a for key, a in alphas.items() if a != alpha},
    }


def _is_router(part: Part) -> bool:
    from gptoss_magic.model.branches import RouterLora

    return isinstance(part, RouterLora)


def _check_distinct(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"two parts on {twice[0]}: write them as two adapters")


def _usual(values: Iterable[Any], default: Any) -> Any:
    """The commonest value."""
    return next((value for value, _ in Counter(values).most_common(1)), default)


def alpha_of(scaling: float, rank: int) -> float:
    """The alpha that peft divides by the rank; a whole number where one says the same."""
    alpha = scaling * rank
    return round(alpha) if round(alpha) / rank == scaling else alpha


def scaling_of(config: Mapping[str, Any], key: str, rank: int) -> float:
    """What peft multiplies B(A x) by at `key`. Raises CheckpointError where the ranks differ."""
    said = _by_pattern(config.get("rank_pattern") or {}, key, config.get("r", 8))
    if said != rank:
        raise CheckpointError(f"{key}: rank {rank} in the tensors, {said} in {CONFIG}")
    alpha = _by_pattern(config.get("alpha_pattern") or {}, key, config.get("lora_alpha", 8))
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise CheckpointError(f"{key}: {CONFIG} gives no number for lora_alpha")
    return float(alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _by_pattern(patterns: Mapping[str, Any], key: str, default: Any) -> Any:
    """The value of the first pattern that ends `key`, as peft finds it."""
    for pattern, value in patterns.items():
        if key == pattern or key.endswith(f".{pattern}"):
            return value
        if not re.fullmatch(r"[\w.]*", pattern) and _matches(pattern, key):
            return value
    return default


def _matches(pattern: str, key: str) -> bool:
    """A file's regular expression on a name; those that may run for ages are refused."""
    repeats = len(re.findall(r"[*+{]", pattern))
    if len(pattern) > MOST_PATTERN or repeats > 3 or re.search(r"\)\s*[*+{]", pattern):
        raise CheckpointError(f"{CONFIG}: pattern {pattern[:60]!r} is too involved: list the names")
    try:
        return re.match(rf"(.*\.)?({pattern})$", key) is not None
    except re.error as error:
        raise CheckpointError(f"{CONFIG}: pattern {pattern!r}: {error}") from error


def targeted(names: Sequence[str], key: str) -> bool:
    """True where one of peft's `target_parameters` means the parameter `key`."""
    return any(key == name or key.endswith(f".{name}") for name in names)
