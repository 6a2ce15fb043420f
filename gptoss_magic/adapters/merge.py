"""The resident model with adapters added to its weights, as a plain checkpoint in 16 bits.

One layer is in memory at a time. Never back into MXFP4: at 1 % of the norm a delta changes no
4-bit code at all. Legend: E experts, K in, N out, r rank.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.write import save
from gptoss_magic.atomic import whole_folder
from gptoss_magic.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from gptoss_magic.adapters.adapter import Adapter
    from gptoss_magic.model.parts import Part
    from gptoss_magic.model.protocol import Model

    Tensors = dict[str, torch.Tensor]

NO_MXFP4 = (
    "an adapter is not merged into MXFP4: most of it would be lost (a change of 1 % of the norm "
    "alters no 4-bit code, of 3 % keeps 1.7 % of itself); --merged writes 16 bits, or keep the "
    "adapter beside the model"
)
ROOM = 1.02  # of the tensors' bytes, for headers, tokenizer and the file system


def export_merged(
    adapters: Sequence[tuple[Adapter, float]],
    model: Model,
    tokenizer: Any,
    path: str | Path,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Path:
    """Write a checkpoint that plain transformers loads; gives its directory.

    `adapters`: each with the scale that it is merged at.
    `progress` is told layers done, layers in all and a note. Raises InputError for a soft prompt
    or prefix (they are no weights), StorageError, before the start, where there is too little
    room.
    """
    target = Path(path).expanduser()
    if target.exists():
        raise InputError(f"{target}: is there already; give a new directory")
    parts = _parts(adapters)
    need, free = round(merged_bytes(model, parts) * ROOM), _free(target)
    if need > free:
        raise StorageError(
            f"{target}: the merged checkpoint takes {need / 1e9:.2f} GB and {free / 1e9:.2f} GB "
            "are free there; give a directory on a larger disk, or export the adapter alone"
        )
    with whole_folder(target) as room:
        _write(room, model, parts, progress)
        config = _config(model, untied=_unties(model, parts))
        (room / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        tokenizer.save_pretrained(room)
        if getattr(model, "generation_config", None) is not None:
            model.generation_config.save_pretrained(room)
    return target


def merged_bytes(model: Model, parts: dict[str, list[tuple[Part, float]]]) -> int:
    """Bytes of all tensors of the merged checkpoint; nothing is computed for it."""
    size, total = int(model.dtype.itemsize), 0
    for name, module in model.named_modules():
        if hasattr(module, "taps"):
            total += _expert_numbers(model.config) * size
            continue
        held = dict(module.named_parameters(recurse=False))
        total += sum(p.numel() * p.element_size() for p in held.values())
        if name == "lm_head" and _tied(model) and not _unties(model, parts):
            total -= module.weight.numel() * module.weight.element_size()
    return total


def _expert_numbers(config: Any) -> int:
    experts, hidden, inner = config.num_local_experts, config.hidden_size, config.intermediate_size
    return int(experts * (3 * inner * hidden + 2 * inner + hidden))


def _parts(adapters: Sequence[tuple[Adapter, float]]) -> dict[str, list[tuple[Part, float]]]:
    """(part, scale) by the module that they stand beside; experts in full first."""
    by_target: dict[str, list[tuple[Part, float]]] = {}
    for adapter, scale in adapters:
        if adapter.soft is not None:
            raise InputError(
                f"{adapter.name}: a soft prompt or prefix is no weight and cannot be merged; "
                "export it without --merged"
            )
        for part in adapter.parts:
            by_target.setdefault(part.target, []).append((part, scale))
    for pairs in by_target.values():
        pairs.sort(key=lambda pair: not pair[0].replaced_experts)
    return by_target


def _write(
    room: Path,
    model: Model,
    parts: dict[str, list[tuple[Part, float]]],
    progress: Callable[[int, int, str], None],
) -> None:
    """One file a layer, one for the rest, and the index."""
    layers = [f"model.layers.{i}" for i in range(model.config.num_hidden_layers)]
    names, total = [*layers, ""], 0
    places: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        file = f"model-{number:05d}-of-{len(names):05d}.safetensors"
        progress(number - 1, len(names), f"writing {name or 'embeddings'}")
        tensors = dict(_merged(model, name, layers, parts))
        places |= dict.fromkeys(tensors, file)
        total += sum(t.numel() * t.element_size() for t in tensors.values())
        save(tensors, room / file)
    progress(len(names), len(names), "written")
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (room / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _merged(
    model: Model, layer: str, layers: Sequence[str], parts: dict[str, list[tuple[Part, float]]]
) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of one layer, or of what is in no layer."""
    for name, module in model.named_modules():
        inside = next((held for held in layers if name == held or name.startswith(f"{held}.")), "")
        if inside != layer or (name == "lm_head" and _tied(model) and not _unties(model, parts)):
            continue
        beside = parts.get(name, [])
        if hasattr(module, "taps"):
            yield from _experts(name, module, model, beside)
            continue
        for leaf, value in module.named_parameters(recurse=False):
            yield f"{name}.{leaf}", _added(value, leaf, beside)


def _added(value: torch.Tensor, leaf: str, beside: Sequence[tuple[Part, float]]) -> torch.Tensor:
    """A linear's or router's weight or bias with the parts added, in its own dtype."""
    total = value.detach().float()
    for part, scale in beside:
        total = part.merged(leaf, total, scale)
    return total.to(value.dtype) if beside else value.detach()


def _experts(
    name: str, module: Any, model: Model, beside: Sequence[tuple[Part, float]]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Both projections [E, K, N] and their biases, in the model's dtype, expert by expert."""
    import torch

    from gptoss_magic.model.parts import PROJECTIONS

    for projection in PROJECTIONS:
        weights, biases = [], []
        for expert in range(model.config.num_local_experts):
            w_NK, bias_N = _expert(module, projection, expert)
            for part, scale in beside:
                w_NK, bias_N = part.merged_expert(projection, expert, (w_NK, bias_N), scale)
            weights.append(w_NK.T.to(model.dtype).cpu())
            biases.append(bias_N.to(model.dtype).cpu())
        yield f"{name}.{projection}", torch.stack(weights)
        yield f"{name}.{projection}_bias", torch.stack(biases)


def _expert(module: Any, projection: str, expert: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(W [N, K], bias [N]) of one expert, fp32."""
    import torch

    if hasattr(module, "packed"):
        packed, bias = module.packed(projection)
        return packed.expert(expert, torch.float32), bias[expert].float()
    w_KN = getattr(module, projection)[expert].detach().float()
    return w_KN.T, getattr(module, f"{projection}_bias")[expert].detach().float()


def _tied(model: Model) -> bool:
    return bool(model.config.tie_word_embeddings)


def _unties(model: Model, parts: dict[str, list[tuple[Part, float]]]) -> bool:
    """True where the output head becomes another matrix than the embeddings."""
    return _tied(model) and "lm_head" in parts


def _config(model: Model, *, untied: bool) -> dict[str, Any]:
    config = {**model.config.to_dict()}
    config.pop("quantization_config", None)
    config["dtype"] = str(model.dtype).removeprefix("torch.")
    if untied:
        config["tie_word_embeddings"] = False
    return config


def _free(target: Path) -> int:
    """Bytes free where `target` will be."""
    place = next(parent for parent in target.absolute().parents if parent.exists())
    return shutil.disk_usage(place).free
