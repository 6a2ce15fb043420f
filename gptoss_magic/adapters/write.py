"""An `Adapter` to peft's directory, and beside it what peft's format cannot say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.layout import (
    BASE,
    CONFIG,
    OWN_CONFIG,
    OWN_WEIGHTS,
    WEIGHTS,
    config_of,
    experts_to_peft,
    key_of,
    prefix_to_peft,
    scaling_of,
)
from gptoss_magic.atomic import whole_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.adapters.adapter import Adapter
    from gptoss_magic.model.branches import ExpertLora, LinearLora, Part, RouterLora

    Tensors = dict[str, torch.Tensor]

FILLER = "model.layers.0.self_attn.q_proj"


def write_adapter(
    adapter: Adapter, model: Any, path: str | Path, *, base_model_name: str = ""
) -> Path:
    """Write `adapter`, as trained (scale 1), so that plain peft loads it; gives the directory.

    Experts that it does not have are zeros in peft's file; which it has is said in our own file
    beside it, so that reading gives the same parts bit for bit. Experts in full precision
    (`has_full_experts`) are in our own files alone, and peft finds no config to load.
    `base_model_name` is said in peft's config; left empty, it is the adapter's or the model's.
    An adapter that was at `path` is replaced in one step. Raises InputError for what cannot be
    written together, StorageError where it cannot be written; nothing half stays.
    """
    target = Path(path).expanduser()
    known = adapter.config.get("base_model_name_or_path")
    base = base_model_name or known or model.config.name_or_path
    parts = [part for part in adapter.parts if not _is_full(part)]
    config = config_of(parts, base)
    own, extra = _own(adapter.parts, config), _extra(adapter.parts)
    tensors = _peft_tensors(parts, model)
    whole = len(parts) == len(adapter.parts)
    if whole and not config.get("target_modules", True) and not config["target_parameters"]:
        config["target_modules"], own["zeros"] = [FILLER], [FILLER]
        tensors |= _filler(model, config["r"])
    with whole_folder(target, is_adapter) as room:
        if whole:
            _write_json(room / CONFIG, config)
        else:
            own["config"] = config
        if len(own) > 1:
            _write_json(room / OWN_CONFIG, own)
        for name, held in ((WEIGHTS, tensors), (OWN_WEIGHTS, extra)):
            if held:
                save(held, room / name)
    return target


def has_full_experts(adapter: Adapter) -> bool:
    """True where plain peft has no place for some of its parts."""
    return any(map(_is_full, adapter.parts))


def _is_full(part: Part) -> bool:
    from gptoss_magic.model.branches import ExpertWeights

    return isinstance(part, ExpertWeights)


def _own(parts: Sequence[Part], config: dict[str, Any]) -> dict[str, Any]:
    """What peft's config cannot say: chosen experts, scalings that are no alpha / rank."""
    from gptoss_magic.model.branches import ExpertLora, LinearLora, RouterLora

    own: dict[str, Any] = {"format": 1}
    chosen = {key_of(p): list(p.experts) for p in parts if isinstance(p, ExpertLora)}
    lora = [part for part in parts if isinstance(part, (LinearLora, RouterLora, ExpertLora))]
    scalings = {
        key_of(part): part.scaling
        for part in lora
        if scaling_of(config, key_of(part), part.a.shape[-2]) != part.scaling
    }
    return own | {k: v for k, v in (("experts", chosen), ("scalings", scalings)) if v}


def _extra(parts: Sequence[Part]) -> Tensors:
    """Our own tensors: router differences and experts in full, exactly as they are."""
    from gptoss_magic.model.branches import ExpertWeights, RouterDelta

    extra: Tensors = {}
    for part in parts:
        if isinstance(part, (RouterDelta, ExpertWeights)):
            place = (
                f"{part.target}.{part.expert}" if isinstance(part, ExpertWeights) else part.target
            )
            extra |= {f"{place}.{name}": value.detach() for name, value in part.named_parameters()}
    return extra


def _peft_tensors(parts: Sequence[Part], model: Any) -> Tensors:
    """Tensors under the names and in the layout of peft's file."""
    from gptoss_magic.model.branches import (
        ExpertLora,
        LinearLora,
        Prefix,
        RouterDelta,
        RouterLora,
        SoftPrompt,
    )

    tensors: Tensors = {}
    both = _with_both(parts)
    for part in parts:
        if isinstance(part, SoftPrompt):
            tensors["prompt_embeddings"] = part.embeddings.detach()
        elif isinstance(part, Prefix):
            tensors["prompt_embeddings"] = prefix_to_peft(part.states.detach())
        elif isinstance(part, RouterDelta):
            router = model.get_submodule(part.target)
            for name, value in part.named_parameters():
                whole = getattr(router, name).float() + value.detach()
                tensors[f"{BASE}{part.target}.{name}"] = whole
        elif isinstance(part, (LinearLora, RouterLora, ExpertLora)):
            tensors |= _factors(part, model.config.num_local_experts, part.target in both)
    return tensors


def _factors(part: LinearLora | RouterLora | ExpertLora, num_experts: int, both: bool) -> Tensors:
    """A and B of one part; `both`: its experts have LoRA on the other projection too."""
    from gptoss_magic.model.branches import ExpertLora

    a, b, nest = part.a.detach(), part.b.detach(), ""
    if isinstance(part, ExpertLora):
        a, b = experts_to_peft(a, b, part.experts, num_experts)
        nest = ".base_layer" if both and part.projection == "gate_up_proj" else ""
    place = f"{BASE}{part.target}{nest}"
    return {f"{place}.lora_A.weight": a, f"{place}.lora_B.weight": b}


def _with_both(parts: Sequence[Part]) -> set[str]:
    """Experts modules with LoRA on both projections: peft nests one wrapper in the other."""
    from gptoss_magic.model.branches import ExpertLora

    lora = [part for part in parts if isinstance(part, ExpertLora)]
    return {p.target for p in lora if p.projection == "down_proj"} & {
        p.target for p in lora if p.projection == "gate_up_proj"
    }


def _filler(model: Any, rank: int) -> Tensors:
    """Zeros on one linear: peft loads no adapter that has routers in full alone."""
    import torch

    rows, columns = model.get_submodule(FILLER).weight.shape
    place = f"{BASE}{FILLER}"
    return {
        f"{place}.lora_A.weight": torch.zeros(rank, columns),
        f"{place}.lora_B.weight": torch.zeros(rows, rank),
    }


def save(tensors: Tensors, file: Path) -> None:
    """One safetensors file. Raises OSError where it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({k: t.cpu().contiguous() for k, t in tensors.items()}, file, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def is_adapter(folder: Path) -> bool:
    """True for an adapter's directory or an empty one: what another adapter may replace."""
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else {""}
    return not names or bool(names & {CONFIG, OWN_CONFIG})
