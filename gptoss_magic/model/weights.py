"""A checkpoint's tensors into memory: mapped or read file by file, with progress."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.architecture import EMBEDDING, HEAD, empty_model
from gptoss_magic.model.imports import without_bars
from gptoss_magic.model.mxfp4 import LARGEST_SCALE, LEAST_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gptoss_magic.model.architecture import Architecture
    from gptoss_magic.model.checkpoint import Checkpoint


def read_model(
    checkpoint: Checkpoint,
    architecture: Architecture,
    device: str,
    progress: Callable[[int, int, str], None],
) -> Any:
    """The model of a checkpoint on disk, on `device` ('auto': over all GPUs); `resident` or not.

    Raises CheckpointError where a scale of MXFP4 cannot be.
    """
    if device == "auto":
        return _by_transformers(checkpoint, architecture)
    model = empty_model(architecture.config, is_packed=checkpoint.is_packed)
    state = _tensors(checkpoint, architecture, device, progress)
    if checkpoint.is_packed:
        _check_scales(state, checkpoint)
    return _assembled(model, state, architecture.config, device)


def _by_transformers(checkpoint: Checkpoint, architecture: Architecture) -> Any:
    from transformers import GptOssForCausalLM

    with without_bars():
        return GptOssForCausalLM.from_pretrained(
            checkpoint.path,
            config=architecture.config,
            device_map="auto",
            dtype="auto",
            local_files_only=True,
        )


def _tensors(
    checkpoint: Checkpoint,
    architecture: Architecture,
    device: str,
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """By the model's names, in the dtypes of `architecture`; `progress` is told the bytes read."""
    import torch
    from safetensors import safe_open

    state, done, total = {}, 0, checkpoint.num_bytes
    for file in checkpoint.files:
        with _one_line(file), safe_open(file, framework="pt", device=device) as stream:
            for key in stream.keys():  # noqa: SIM118 (not a dict)
                if key not in architecture.names or checkpoint.tensors[key].file != file.name:
                    continue
                name = architecture.names[key]
                dtype = getattr(torch, architecture.dtype_of(name))
                state[name] = stream.get_tensor(key).to(dtype)
                done += checkpoint.tensors[key].num_bytes
                progress(done, total, "reading weights")
    return state


@contextmanager
def _one_line(file: Path) -> Iterator[None]:
    """What safetensors finds wrong beyond the header's own check, as a CheckpointError."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise CheckpointError(f"{file}: damaged ({error}); download it again") from error


def _assembled(model: Any, state: dict[str, Any], config: Any, device: str) -> Any:
    """`model` filled with `state`; a tied head is the embeddings themselves."""
    from gptoss_magic.model.quantizer import mark_packed

    if config.tie_word_embeddings:
        state = state | {HEAD: state[EMBEDDING]}
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    model.requires_grad_(False)
    if any(key.endswith("_scales") for key in state):
        mark_packed(model)
    return model


def _check_scales(state: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Scales that bf16 cannot hold mean a damaged file."""
    for key, tensor in state.items():
        if key.endswith("_scales") and tensor.device.type == "cpu":
            least, largest = (int(value) for value in tensor.aminmax())
            if least < LEAST_SCALE or largest > LARGEST_SCALE:
                raise CheckpointError(
                    f"{checkpoint.path}: {key} has scales from {least} to {largest}, beyond "
                    f"{LEAST_SCALE} to {LARGEST_SCALE}; download it again"
                )
