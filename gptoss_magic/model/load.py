"""From a name to a resident model: find, plan, read with progress. All or nothing."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.model import hub
from gptoss_magic.model.backends import describe
from gptoss_magic.model.checkpoint import Checkpoint, fingerprint, read_checkpoint
from gptoss_magic.model.imports import import_engine, without_bars
from gptoss_magic.model.mxfp4 import LARGEST_SCALE, LEAST_SCALE
from gptoss_magic.model.plan import Plan, free_bytes, make_plan, require_fit

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT_IN = "built-in"
DEFAULT_HUB = "openai/gpt-oss-120b"
STAND_IN = "a small stand-in, not gpt-oss: SmolLM2-135M-Instruct (Hugging Face, Apache-2.0)"
BF16 = "transformers: the experts of this checkpoint are not packed"
DEFAULT_CONTEXT = 8192
GPU_BYTES_120B = 70e9
GPU_BYTES_20B = 16e9


@dataclass(frozen=True)
class LoadSettings:
    """What to load and where. device '' or context 0: chosen by what there is."""

    model: str = BUILT_IN
    device: str = ""
    context: int = 0
    revision: str | None = None
    offline: bool = False


@dataclass(frozen=True)
class Resident:
    """The one model of this kernel."""

    settings: LoadSettings
    model: Any
    tokenizer: Any
    plan: Plan
    identity: dict[str, Any]
    greedy: bool
    about: str
    backend: str


def choose_model() -> tuple[str, str]:
    """(model, why) for this machine."""
    torch = import_engine()
    if not torch.cuda.is_available():
        return BUILT_IN, "no GPU here"
    total = sum(
        torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())
    )
    if total >= GPU_BYTES_120B:
        return DEFAULT_HUB, f"{total / 1e9:.0f} GB of GPU memory hold the 120b model"
    if total >= GPU_BYTES_20B:
        return "openai/gpt-oss-20b", f"{total / 1e9:.0f} GB of GPU memory hold the 20b model"
    return BUILT_IN, f"{total / 1e9:.0f} GB of GPU memory are too little for gpt-oss: the stand-in"


def load(
    settings: LoadSettings,
    progress: Callable[[int, int, str], None],
    on_plan: Callable[[Plan], None] = lambda plan: None,
) -> Resident:
    """Load `settings.model`; `on_plan` sees the plan before anything is read.

    On any error or interrupt nothing of it stays behind.
    """
    progress(0, 0, "importing torch and transformers")
    import_engine()
    checkpoint = find(settings, progress)
    device = _checked_device(settings.device) if settings.device else _default_device()
    limit = checkpoint.config["max_position_embeddings"]
    context = settings.context or min(limit, DEFAULT_CONTEXT)
    if not 1 <= context <= limit:
        raise InputError(f"context {context}: {checkpoint.name} takes 1 to {limit} tokens")
    plan = make_plan(checkpoint, device, context, free_bytes(device))
    on_plan(plan)
    require_fit(plan, checkpoint.config)
    return _resident(settings, checkpoint, plan, progress)


def _resident(
    settings: LoadSettings,
    checkpoint: Checkpoint,
    plan: Plan,
    progress: Callable[[int, int, str], None],
) -> Resident:
    """Download what is missing, read, and put it together."""
    if checkpoint.path is None:
        progress(0, 0, f"downloading {checkpoint.num_bytes / 1e9:.1f} GB")
        checkpoint = hub.download(checkpoint.name, settings.revision, progress)
    try:
        model, tokenizer = _read(checkpoint, plan.device, progress)
    except BaseException as error:
        error.__traceback__ = None  # frames would keep half a model alive
        gc.collect()
        raise
    about = STAND_IN if checkpoint.name == BUILT_IN else checkpoint.name
    identity, greedy = _identity(checkpoint), _is_greedy(checkpoint)
    backend = describe(model.device, model.dtype) if checkpoint.is_packed else BF16
    return Resident(settings, model, tokenizer, plan, identity, greedy, about, backend)


def find(settings: LoadSettings, progress: Callable[[int, int, str], None]) -> Checkpoint:
    """The checkpoint that a name means: the built-in one, a directory, or a hub repository."""
    if settings.model == BUILT_IN:
        from gptoss_magic.model import stand_in

        def told(note: str, share: float) -> None:
            progress(int(share * 1000), 1000, note)

        return read_checkpoint(BUILT_IN, stand_in.checkpoint(progress=told))
    path = Path(settings.model).expanduser()
    if path.exists():
        return read_checkpoint(settings.model, path)
    if settings.model.count("/") != 1 or settings.model.startswith((".", "/", "~")):
        raise InputError(
            f"{settings.model!r} is neither 'built-in', a directory, nor a hub name OWNER/NAME"
        )
    found = hub.cached(settings.model, settings.revision)
    if found is None and settings.offline:
        raise CheckpointError(
            f"{settings.model}: not in the local cache; leave --offline out, or give a directory"
        )
    return found or hub.remote(settings.model, settings.revision)


def _checked_device(device: str) -> str:
    """`device` where it exists here. Raises InputError where not."""
    import torch

    num_gpus = torch.cuda.device_count()
    known = [
        "cpu",
        *(f"cuda:{i}" for i in range(num_gpus)),
        *(["cuda", "auto"] if num_gpus else []),
    ]
    if device not in known:
        raise InputError(f"device {device!r}: not on this machine; there are {', '.join(known)}")
    return device


def _default_device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return "auto" if torch.cuda.device_count() > 1 else "cuda"


def _read(
    checkpoint: Checkpoint, device: str, progress: Callable[[int, int, str], None]
) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    from gptoss_magic.model.resident import make_resident

    if not (_folder(checkpoint) / "tokenizer.json").exists():
        raise CheckpointError(
            f"{_folder(checkpoint)}: tokenizer.json is missing; copy it from the checkpoint that "
            "these weights come from"
        )
    tokenizer = AutoTokenizer.from_pretrained(_folder(checkpoint), local_files_only=True)
    if device == "auto":
        model = _read_by_transformers(checkpoint, device)
    else:
        model = _read_by_bytes(checkpoint, device, progress)
    make_resident(model)
    return model.eval(), tokenizer


def _folder(checkpoint: Checkpoint) -> Path:
    if checkpoint.path is None:
        raise CheckpointError(f"{checkpoint.name}: not downloaded yet")
    return checkpoint.path


def _read_by_transformers(checkpoint: Checkpoint, device: str) -> Any:
    from transformers import GptOssForCausalLM

    with without_bars():
        return GptOssForCausalLM.from_pretrained(
            _folder(checkpoint),
            config=_config(checkpoint),
            device_map=device,
            dtype="auto",
            local_files_only=True,
        )


def _config(checkpoint: Checkpoint) -> Any:
    """The model's config; packed experts stay packed by our own quantizer."""
    from transformers import AutoConfig

    from gptoss_magic.model.quantizer import packed_config

    config = AutoConfig.from_pretrained(_folder(checkpoint), local_files_only=True)
    return packed_config(config) if checkpoint.is_packed else config


def _read_by_bytes(
    checkpoint: Checkpoint, device: str, progress: Callable[[int, int, str], None]
) -> Any:
    """Fill a meta model tensor by tensor, telling `progress` the bytes read."""
    import torch
    from safetensors import safe_open
    from transformers import GptOssForCausalLM

    from gptoss_magic.model.experts import use_packed_experts

    config = _config(checkpoint)
    with torch.device("meta"):
        model = GptOssForCausalLM(config)
    if checkpoint.is_packed:
        use_packed_experts(model, config)
    state, done, total = {}, 0, checkpoint.num_bytes
    for file in checkpoint.files:
        with safe_open(file, framework="pt", device=device) as stream:
            for key in stream.keys():  # noqa: SIM118 (not a dict)
                state[key] = stream.get_tensor(key)
                done += checkpoint.tensors[key].num_bytes
                progress(done, total, "reading weights")
    return _assembled(model, state, config, device, checkpoint)


def _assembled(
    model: Any, state: dict[str, Any], config: Any, device: str, checkpoint: Checkpoint
) -> Any:
    from gptoss_magic.model.quantizer import mark_packed

    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    try:
        found = model.load_state_dict(state, assign=True, strict=False)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{checkpoint.path}: {first}; download it again") from error
    missing = sorted(set(found.missing_keys) - tied)
    if missing or found.unexpected_keys:
        names = ", ".join([*missing, *found.unexpected_keys][:3])
        raise CheckpointError(f"{checkpoint.path}: tensors missing or unknown: {names}")
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    model.requires_grad_(False)
    if checkpoint.is_packed:
        _check_scales(state, checkpoint)
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


def _identity(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "weights": fingerprint(checkpoint),
    }


def _is_greedy(checkpoint: Checkpoint) -> bool:
    """True where the checkpoint's generation config asks for no sampling."""
    import json

    file = _folder(checkpoint) / "generation_config.json"
    if not file.exists():
        return True
    return not json.loads(file.read_text()).get("do_sample", False)
