"""A run that trained every weight, as a model of its own: in the model's dtype, or back in MXFP4.

Written from the run's newest checkpoint, a layer after the other: it need not fit beside the
resident model. Legend: E experts, K in, N out.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import DoesNotFit, InputError
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import method_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.tuning.runs import Run

MODEL = "model"  # a run's own folder of it
MEANS_BYTES = 8  # of a number's, which a run that is opened holds too
QUANTIZATION = {"quant_method": "mxfp4"}


def check_whole(run: Run) -> None:
    """Raise InputError for a run that trained an adapter."""
    if not method_of(run.method).trains_all:
        raise InputError(
            f"{run.name}: an adapter by {run.method.name}; %gptoss lora export writes it, or the "
            "model with it merged"
        )


def require_room(run: Run) -> None:
    """Raise DoesNotFit where all its weights have no place beside the resident model."""
    from math import prod

    from gptoss_magic.model.plan import GB, free_bytes

    if not method_of(run.method).trains_all:
        return
    model = current().require_local().model
    width = method_of(run.method).sizes.trained_bytes(model.config.to_dict())
    numbers = sum(prod(shape) for one in run.parts for shape in one["shapes"].values())
    needed, free = numbers * (width + MEANS_BYTES), free_bytes(str(model.device))
    if needed > free:
        raise DoesNotFit(
            f"{run.name} is trained, but to stand beside the resident model it needs "
            f"{needed / GB:.2f} GB and {free / GB:.2f} GB are free; %gptoss runs export {run.name} "
            "PATH writes it as a checkpoint"
        )


def keep_model(run: Run) -> Path:
    """Write the run's own folder of it anew. Raises StorageError."""
    return write_model(run, run.folder / MODEL, may_replace=True)


def write_model(
    run: Run, target: Path, *, is_packed: bool = False, may_replace: bool = False
) -> Path:
    """A checkpoint that loads here and in transformers; the experts in MXFP4 where `is_packed`.

    `may_replace`: a model that lies there. Raises InputError, CheckpointError, StorageError.
    """
    from safetensors import safe_open

    from gptoss_magic.adapters.write import save
    from gptoss_magic.atomic import is_empty, whole_folder
    from gptoss_magic.runs.parts import opened
    from gptoss_magic.tuning.checkpoints import TENSORS, reading

    check_whole(run)
    _, checkpoint = opened(run.folder)
    groups = [list(some) for _, some in groupby(enumerate(run.parts), key=_layer_of)]
    places: dict[str, str] = {}
    total = 0
    with (
        reading(checkpoint),
        whole_folder(target, _is_model if may_replace else is_empty) as room,
        safe_open(checkpoint / TENSORS, framework="pt") as file,
    ):
        for number, some in enumerate(groups, 1):
            name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
            tensors = dict(_tensors(file, some, is_packed=is_packed))
            save(tensors, room / name)
            places |= dict.fromkeys(tensors, name)
            total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (room / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
        _write_small_files(room, is_packed=is_packed)
    return target


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() or not any(folder.iterdir())


def _layer_of(numbered: tuple[int, Any]) -> str:
    """`model.layers.3` of what is in a layer, else ''."""
    target = str(numbered[1]["target"])
    words = target.split(".")
    return ".".join(words[:3]) if words[1:2] == ["layers"] else ""


def _tensors(file: Any, some: Any, *, is_packed: bool) -> Iterator[tuple[str, Any]]:
    """(name in the checkpoint, tensor) of some parts."""
    from gptoss_magic.model.parts import PROJECTIONS

    for number, one in some:
        for leaf in one["shapes"]:
            name, value = f"{one['target']}.{leaf}", file.get_tensor(f"parts.{number}.{leaf}")
            if not is_packed:
                yield name, value
            elif leaf in PROJECTIONS:
                blocks, scales = packed(value)
                yield f"{name}_blocks", blocks
                yield f"{name}_scales", scales
            else:
                yield name, value.bfloat16()


def packed(w_EKN: Any) -> tuple[Any, Any]:
    """Blocks [E, N, K/32, 16] and scales [E, N, K/32], the nearest, expert by expert.

    Raises InputError where K is no multiple of a block.
    """
    import torch

    from gptoss_magic.model.mxfp4 import BLOCK, quantize

    if w_EKN.shape[1] % BLOCK:
        raise InputError(
            f"MXFP4 takes blocks of {BLOCK}; experts here have {w_EKN.shape[1]} inputs: "
            "leave them in bf16"
        )
    pairs = [quantize(w_KN.T) for w_KN in w_EKN]
    blocks, scales = zip(*pairs, strict=True)
    return torch.stack(blocks), torch.stack(scales)


def _write_small_files(room: Path, *, is_packed: bool) -> None:
    resident = current().require_local()
    model = resident.model
    config = {**model.config.to_dict()}
    config.pop("quantization_config", None)
    config["dtype"] = str(model.dtype).removeprefix("torch.")
    if is_packed:
        config |= {"quantization_config": QUANTIZATION, "dtype": "bfloat16"}
    (room / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    resident.tokenizer.save_pretrained(room)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(room)


def loss_in_mxfp4(tuning: Tuning) -> float | None:
    """Held-out loss with every expert as MXFP4 has it; its parts are such afterwards.

    None where no rows were held out.
    """
    from gptoss_magic.model.mxfp4 import unpack
    from gptoss_magic.model.parts import PROJECTIONS

    for part in tuning.trainer.parts:
        for leaf, value in part.named_parameters():
            if leaf in PROJECTIONS:
                for expert, w_KN in enumerate(value.data):
                    blocks, scales = packed(w_KN[None])
                    value.data[expert] = unpack(blocks[0], scales[0]).T.to(value.dtype)
            else:
                value.data.copy_(value.data.bfloat16())
    return tuning.trainer.evaluate()


def cost_line(run: Run, after: float | None) -> str:
    """What MXFP4 costs on the held-out rows, in words."""
    before, tuned = run.report.get("held_out") or (None, None)
    if after is None or before is None or tuned is None:
        return "held-out loss: not measured, as no rows were held out or the run has no report yet"
    gained, kept = before - tuned, before - after
    share = f"{kept / gained:.0%} of what was learned is left" if gained > 0 else "nothing learned"
    return f"held-out loss: {before:.3f} before, {tuned:.3f} tuned, {after:.3f} in MXFP4: {share}"
