"""An `Adapter` to peft's directory, and beside it what peft's format cannot say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.layout import (
    CONFIG,
    OWN_CONFIG,
    OWN_WEIGHTS,
    WEIGHTS,
    config_of,
    entries_of,
    scaling_of,
)
from gptoss_magic.atomic import whole_folder
from gptoss_magic.model.peft_layout import factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.adapters.adapter import Adapter
    from gptoss_magic.model.parts import Part
    from gptoss_magic.model.protocol import Model

    Tensors = dict[str, torch.Tensor]

FILLER = "model.layers.0.self_attn.q_proj"


def write_adapter(
    adapter: Adapter, model: Model, path: str | Path, *, base_model_name: str = ""
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
    parts = [part for part in adapter.parts if part.is_in_peft]
    config = config_of(parts, base)
    own, keys = _own(adapter.parts, config), {entry.key for entry in entries_of(parts)}
    extra: Tensors = {}
    tensors: Tensors = {}
    for part in adapter.parts:
        extra |= part.own_tensors()
        tensors |= part.peft_tensors(model, keys)
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
    return not all(part.is_in_peft for part in adapter.parts)


def _own(parts: Sequence[Part], config: dict[str, Any]) -> dict[str, Any]:
    """What peft's config cannot say: chosen experts, scalings that are no alpha / rank."""
    own: dict[str, Any] = {"format": 1}
    entries = [(part, entry) for part in parts if (entry := part.peft_entry()) and entry.rank]
    chosen = {e.key: list(part.settings["experts"]) for part, e in entries if part.trained_experts}
    scalings = {
        e.key: e.scaling for _, e in entries if scaling_of(config, e.key, e.rank) != e.scaling
    }
    return own | {k: v for k, v in (("experts", chosen), ("scalings", scalings)) if v}


def _filler(model: Model, rank: int) -> Tensors:
    """Zeros on one linear: peft loads no adapter that has routers in full alone."""
    import torch

    rows, columns = model.get_submodule(FILLER).weight.shape
    return factors(FILLER, torch.zeros(rank, columns), torch.zeros(rows, rank))


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
    """True for an adapter's directory or an empty one: what another adapter may replace.

    Not where anything else lies in it: notes, a README, checkpoints are the user's.
    """
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else {""}
    return names <= {CONFIG, OWN_CONFIG, WEIGHTS, OWN_WEIGHTS}
