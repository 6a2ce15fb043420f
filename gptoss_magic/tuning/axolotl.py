"""Axolotl's YAML for the same run, read and written; what one side cannot say is named.

Axolotl (docs.axolotl.ai) trains by peft: LoRA on whole modules, or on every expert of a layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.textfiles import decode
from gptoss_magic.tuning.axolotl_keys import CONSTANT, COSINE, DATA_KEYS, DS_TYPES, ONLY, READ
from gptoss_magic.tuning.methods import METHODS, method_of, settings_of
from gptoss_magic.tuning.settings import MethodSettings, TrainSettings
from gptoss_magic.tuning.trl import TRAINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.tuning.methods.method import AxolotlWords, Method

LARGEST_FILE = 1 << 20
EVERY_LINEAR = "all-linear"  # peft's word for every linear module


@dataclass(frozen=True)
class AxolotlRun:
    """A run as an Axolotl file has it. `data`: path or name of the first data set.

    `not_understood`: keys, some with a reason, that this run leaves out.
    """

    method: MethodSettings
    train: TrainSettings
    data: str
    not_understood: tuple[str, ...]


def read_axolotl(path: Path | str) -> AxolotlRun:
    """The run in the YAML file `path`. Raises InputError where it has none, or no LoRA."""
    found = _load(Path(path))
    if found.get("adapter") not in ("lora", "qlora"):
        raise InputError(
            f"{path}: adapter {_text(found.get('adapter'))}; LoRA runs alone can be read: write "
            "adapter: lora"
        )
    lost = [key for key, value in found.items() if key not in READ and value is not None]
    lost += [
        f"{key}: {_text(found.get(key))}"
        for key, fine in ONLY.items()
        if found.get(key) not in fine
    ]
    meant, unsaid = _method(found)
    data, more = _data(found, path)
    rank, alpha = int(_number(found, "lora_r", 8)), _number(found, "lora_alpha", 16)
    own = meant.axolotl.read if meant.axolotl and meant.axolotl.read else {}
    method = settings_of(meant.name, rank=rank, alpha=alpha, **own)
    return AxolotlRun(method, _train(found), data, (*map(_text, lost), *unsaid, *more))


def write_axolotl(
    method: MethodSettings,
    train: TrainSettings,
    model: str,
    data: str,
    experts_per_layer: Sequence[int] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """(YAML text, what it cannot say). Raises InputError for methods that Axolotl does not have."""
    import yaml

    words = method_of(method).axolotl
    if words is None:
        written = [name for name, one in METHODS.items() if one.axolotl]
        raise InputError(
            f"method {method.name}: Axolotl has none; {', '.join(written)} can be written: use "
            "one of those"
        )
    rate = train.learning_rate or method_of(method).rate.usual
    found = {
        "base_model": model,
        "model_quantization_config": "Mxfp4Config",  # packed experts have no backward there
        "model_quantization_config_kwargs": {"dequantize": True},
        "attn_implementation": "eager",  # keeps packed rows apart, and sinks have a backward
        **_low_rank(method, words),
        "datasets": [_data_set(data)],
        "eot_tokens": ["<|end|>"],
        **_schedule(train, rate),
    }
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    lost = [*([words.lost] if words.lost else []), *words.unsaid(method, experts_per_layer)]
    return text, (*lost, *_unsaid(method, train, rate))


def _low_rank(method: Any, words: AxolotlWords) -> dict[str, Any]:
    """The keys of LoRA, which is all that Axolotl has words for."""
    targets = {"modules": list(words.modules), "parameters": list(words.parameters)}
    return {
        "adapter": "lora",
        "lora_r": method.rank,
        "lora_alpha": _whole(method.alpha),
        "lora_dropout": 0.0,
        **{f"lora_target_{kind}": names for kind, names in targets.items() if names},
    }


def _whole(alpha: float) -> int:
    """Axolotl's alpha is a whole number."""
    return max(1, round(alpha))


def _unsaid(method: Any, train: TrainSettings, rate: float) -> list[str]:
    found = []
    if method.alpha != _whole(method.alpha):
        found.append(f"lora_alpha {method.alpha:g}: whole numbers only; {_whole(method.alpha)}")
    if not train.learning_rate:
        found.append(f"learning_rate: chosen by the plan here; the usual {rate:g} is written")
    if train.step_tokens % train.max_tokens:
        found.append(f"step_tokens {train.step_tokens}: rounded to whole sequences")
    return [*found, "routing drift and the reasoning canary: not measured there"]


def _schedule(train: TrainSettings, rate: float) -> dict[str, Any]:
    return {
        "sequence_len": train.max_tokens,
        "sample_packing": True,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": max(1, round(train.step_tokens / train.max_tokens)),
        "num_epochs": train.epochs,
        **({"max_steps": train.num_steps} if train.num_steps else {}),
        "learning_rate": rate,
        **(CONSTANT if train.floor == 1 else COSINE | {"cosine_min_lr_ratio": train.floor}),
        "warmup_ratio": train.warmup,
        "val_set_size": train.held_out,
        **({"eval_steps": train.eval_every} if train.held_out else {}),  # refused without rows
        "seed": train.seed,
        "optimizer": "adamw_torch",
        "gradient_checkpointing": True,
        "bf16": True,
        "train_on_inputs": False,
    }


def _data_set(data: str) -> dict[str, str]:
    kind = DS_TYPES.get(Path(data).suffix)
    return {
        "path": data,
        **({"ds_type": kind} if kind else {}),
        "type": "chat_template",
        "field_messages": "messages",
        "message_field_training": TRAINED,
        "field_thinking": "thinking",
        "template_thinking_key": "thinking",
    }


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than 1 MiB; give an Axolotl YAML file")
        found = yaml.safe_load(decode(path.read_bytes()).text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: no YAML ({first}); give a YAML file") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no keys; give an Axolotl YAML file")
    return found


def _method(found: dict[str, Any]) -> tuple[Method, list[str]]:
    """The method that the targets mean, and what of them is left out."""
    modules = _names(found, "lora_target_modules")
    parameters = _names(found, "lora_target_parameters")
    by_parameters, by_modules = _read_by("parameters"), _read_by("modules")
    if found.get("lora_target_linear") or EVERY_LINEAR in modules:
        modules = modules - {EVERY_LINEAR} | set(by_modules)
    experts = {name for name in parameters if any(_are_one(name, full) for full in by_parameters)}
    if not experts and not modules & set(by_modules):
        raise InputError(
            "neither attention (lora_target_modules) nor experts are trained; name one of them"
        )
    lost = [f"lora_target_parameters: {name}" for name in sorted(parameters - experts)]
    lost += [
        f"lora_target_parameters: {name}: every layer is trained"
        for name in sorted(experts)
        if name.endswith(tuple(f".{full}" for full in by_parameters))
    ]
    if experts:
        lost += [f"lora_target_modules: {name}" for name in sorted(modules)]
        return next(iter(by_parameters.values())), lost
    lost += [f"lora_target_modules: {name}" for name in sorted(modules - set(by_modules))]
    absent = set(by_modules) - modules
    lost += [f"lora_target_modules: {name} is trained too" for name in sorted(absent)]
    return next(iter(by_modules.values())), lost


def _are_one(name: str, full: str) -> bool:
    """True where one is the other's end, as peft matches names."""
    return f".{name}".endswith(f".{full}") or f".{full}".endswith(f".{name}")


def _read_by(kind: str) -> dict[str, Method]:
    """Target to the method that is read where it stands; `kind`: 'modules' or 'parameters'."""
    read = [
        method for method in METHODS.values() if method.axolotl and method.axolotl.read is not None
    ]
    return {name: method for method in read for name in getattr(method.axolotl, kind)}


def _names(found: dict[str, Any], key: str) -> set[str]:
    value = found.get(key) or []
    return {_text(name) for name in (value if isinstance(value, list) else [value])}


def _data(found: dict[str, Any], path: Path | str) -> tuple[str, list[str]]:
    sets = found.get("datasets")
    if not isinstance(sets, list) or not sets or not isinstance(sets[0], dict):
        raise InputError(f"{path}: names no data; give datasets with a path")
    first, lost = sets[0], [f"datasets: {_path(other)}" for other in sets[1:]]
    for key, value in first.items():
        if key not in DATA_KEYS or (DATA_KEYS[key] and value not in DATA_KEYS[key]):
            lost.append(f"datasets.{_text(key)}: {_text(value)}")
    return _path(first), lost


def _path(data_set: Any) -> str:
    return _text(data_set.get("path", "") if isinstance(data_set, dict) else data_set)


def _text(value: Any) -> str:
    """A plain value; of nested ones, which a few aliases can make endless, the kind alone."""
    return f"({type(value).__name__})" if isinstance(value, (dict, list, set)) else str(value)


def _train(found: dict[str, Any]) -> TrainSettings:
    plain = TrainSettings()
    length = int(_number(found, "sequence_len", plain.max_tokens))
    batch = _number(found, "micro_batch_size", 1) * _number(found, "gradient_accumulation_steps", 1)
    return TrainSettings(
        learning_rate=_number(found, "learning_rate", 0),
        epochs=_number(found, "num_epochs", 1),
        num_steps=max(0, int(_number(found, "max_steps", 0))),  # -1: no limit
        step_tokens=length * int(batch),
        max_tokens=length,
        warmup=_number(found, "warmup_ratio", plain.warmup),
        floor=_number(found, "cosine_min_lr_ratio", 0 if _falls(found) else 1),
        held_out=_number(found, "val_set_size", 0),
        eval_every=max(1, int(_number(found, "eval_steps", plain.eval_every))),
        seed=int(_number(found, "seed", plain.seed)),
    )


def _falls(found: dict[str, Any]) -> bool:
    """False for a rate that stays: here a cosine down to all of it."""
    return found.get("lr_scheduler") != CONSTANT["lr_scheduler"]


def _number(found: dict[str, Any], key: str, otherwise: float) -> float:
    """A finite number; YAML reads 2e-4 as text. Raises InputError."""
    value = found.get(key)
    if value is None:
        return otherwise
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{key} {_text(value)}: give a number")
    return number
