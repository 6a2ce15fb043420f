"""peft's adapter_config, both ways: what parts ask of it, ranks and scalings by its patterns."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gptoss_magic.model.parts import Part
    from gptoss_magic.model.peft_layout import PeftEntry

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OWN_CONFIG, OWN_WEIGHTS = "gptoss_magic.json", "gptoss_magic.safetensors"
MOST_PATTERN = 200


def config_of(parts: Sequence[Part], base_model_name: str) -> dict[str, Any]:
    """The adapter_config of peft for `parts`, each target by its full name.

    Raises InputError for what one adapter of peft cannot hold together.
    """
    about: dict[str, Any] = {
        "base_model_name_or_path": base_model_name,
        "task_type": "CAUSAL_LM",
        "inference_mode": True,
    }
    soft = next((part for part in parts if part.is_soft), None)
    if soft is None:
        return about | _lora_config(entries_of(parts))
    if len(parts) > 1:
        raise InputError("a soft prompt or prefix and other parts: write them as two adapters")
    return about | soft.soft_config()


def entries_of(parts: Sequence[Part]) -> list[PeftEntry]:
    """What each part is in a LoRA adapter's config."""
    entries = [part.peft_entry() for part in parts]
    return [entry for entry in entries if entry is not None]


def _lora_config(entries: Sequence[PeftEntry]) -> dict[str, Any]:
    _check_distinct([name for entry in entries for name in {entry.key, entry.place}])
    ranks = {entry.key: entry.rank for entry in entries if entry.rank}
    alphas = {e.key: alpha_of(e.scaling, e.rank) for e in entries if e.rank}
    rank, alpha = _usual(ranks.values(), 1), _usual(alphas.values(), 1)
    fields = ("target_modules", "target_parameters", "modules_to_save")
    names = {field: [e.key for e in entries if e.field == field] for field in fields}
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": names["target_modules"],
        "target_parameters": names["target_parameters"] or None,
        "modules_to_save": names["modules_to_save"] or None,
        "rank_pattern": {key: r for key, r in ranks.items() if r != rank},
        "alpha_pattern": {key: a for key, a in alphas.items() if a != alpha},
    }


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
        raise CheckpointError(
            f"{key}: rank {rank} in the tensors, {said} in {CONFIG}; get the adapter again"
        )
    alpha = _by_pattern(config.get("alpha_pattern") or {}, key, config.get("lora_alpha", 8))
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise CheckpointError(f"{key}: {CONFIG} gives no number for lora_alpha; write one there")
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
        raise CheckpointError(f"{CONFIG}: pattern {pattern!r}: {error}; list the names") from error


def targeted(names: Sequence[str], key: str) -> bool:
    """True where one of peft's `target_parameters` means the parameter `key`."""
    return any(key == name or key.endswith(f".{name}") for name in names)
