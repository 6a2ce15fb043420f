"""From a name to a resident model: find, plan, read with progress. All or nothing."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.model import hub
from gptoss_magic.model.architecture import Architecture, architecture
from gptoss_magic.model.backends import describe
from gptoss_magic.model.checkpoint import Checkpoint, fingerprint, read_checkpoint, read_json
from gptoss_magic.model.config import reason
from gptoss_magic.model.imports import import_engine
from gptoss_magic.model.plan import Plan, free_bytes, make_plan, require_fit
from gptoss_magic.model.weights import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records.provenance import ModelIdentity

BUILT_IN = "built-in"
DEFAULT_HUB = "openai/gpt-oss-120b"
STAND_IN = "a small stand-in, not gpt-oss: SmolLM2-135M-Instruct (Hugging Face, Apache-2.0)"
BF16 = "as in the checkpoint, not packed"
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
    """The one model of this kernel. `notes`: what was read otherwise than its files say."""

    settings: LoadSettings
    model: Model
    tokenizer: Any
    plan: Plan
    identity: ModelIdentity
    greedy: bool
    about: str
    backend: str
    notes: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class _Ready:
    """A checkpoint whose small files are read and agree; no tokenizer while it is on the hub."""

    checkpoint: Checkpoint
    built: Architecture
    tokenizer: Any = None
    greedy: bool = True
    notes: tuple[str, ...] = ()


def load(
    settings: LoadSettings,
    progress: Callable[[int, int, str], None],
    on_plan: Callable[[Plan], None] = lambda plan: None,
    make_room: Callable[[], None] = lambda: None,
) -> Resident:
    """Load `settings.model`; `on_plan` sees the plan before anything is read.

    `make_room` is called once all but the weights is checked, before memory is asked for. On any
    error or interrupt nothing of it stays behind.
    """
    progress(0, 0, "importing torch and transformers")
    import_engine()
    ready = _ready(find(settings, progress))
    device = _checked_device(settings.device) if settings.device else _default_device()
    context, planned = _context(settings, ready), ready.built.resident
    make_room()
    plan = make_plan(planned, device, context, free_bytes(device))
    on_plan(plan)
    require_fit(plan, planned.config)
    if ready.checkpoint.path is None:
        progress(0, 0, f"downloading {ready.checkpoint.num_bytes / 1e9:.1f} GB")
        ready = _ready(hub.download(ready.checkpoint.name, settings.revision, progress))
    return _resident(settings, ready, plan, progress)


def _ready(checkpoint: Checkpoint) -> _Ready:
    built = architecture(checkpoint)
    if checkpoint.path is None:
        return _Ready(checkpoint, built)
    tokenizer = _tokenizer(checkpoint.path, built.config)
    greedy, notes = _is_greedy(checkpoint.path)
    return _Ready(checkpoint, built, tokenizer, greedy, built.notes + notes)


def _context(settings: LoadSettings, ready: _Ready) -> int:
    limit = ready.built.config.max_position_embeddings
    context: int = settings.context or min(limit, DEFAULT_CONTEXT)
    if not 1 <= context <= limit:
        raise InputError(
            f"context {context}: {ready.checkpoint.name} takes 1 to {limit} tokens: give one of "
            "those"
        )
    return context


def _resident(
    settings: LoadSettings,
    ready: _Ready,
    plan: Plan,
    progress: Callable[[int, int, str], None],
) -> Resident:
    """Read the weights of a checkpoint that is on disk, and put all together."""
    from gptoss_magic.model.resident import make_resident

    checkpoint = ready.checkpoint
    try:
        model = read_model(checkpoint, ready.built, plan.device, progress)
        make_resident(model)
        model.eval()
    except BaseException as error:
        error.__traceback__ = None  # frames would keep half a model alive
        gc.collect()
        raise
    return Resident(
        settings,
        model,
        ready.tokenizer,
        plan,
        identity=_identity(checkpoint),
        greedy=ready.greedy,
        about=STAND_IN if checkpoint.name == BUILT_IN else checkpoint.name,
        backend=describe(model.device, model.dtype) if checkpoint.is_packed else BF16,
        notes=ready.notes,
    )


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
            f"{settings.model!r} is neither 'built-in', a directory, nor a hub name OWNER/NAME; "
            "give one of them"
        )
    try:
        return hub.cached(settings.model, settings.revision)
    except CheckpointError:
        if settings.offline:
            raise
        return hub.remote(settings.model, settings.revision)


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


def _tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer beside the weights. Raises CheckpointError where they have no row for an id."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").exists():
        raise CheckpointError(
            f"{folder}: tokenizer.json is missing; copy it from the checkpoint that these weights "
            "come from"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, local_files_only=True)
    except Exception as error:
        for file in sorted(folder.glob("tokenizer*.json")):
            read_json(file, "copy it from the checkpoint that these weights come from")
        raise CheckpointError(
            f"{folder}: its tokenizer cannot be read ({reason(error)}); copy tokenizer.json and "
            "tokenizer_config.json from the checkpoint that these weights come from"
        ) from error
    last = max(tokenizer.get_vocab().values(), default=-1)
    if last >= config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has ids up to {last}, but the embeddings end at "
            f"{config.vocab_size - 1}; give the tokenizer that belongs to these weights"
        )
    return tokenizer


def _identity(checkpoint: Checkpoint) -> ModelIdentity:
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "weights": fingerprint(checkpoint),
    }


def _is_greedy(folder: Path) -> tuple[bool, tuple[str, ...]]:
    """True where the generation config asks for no sampling; notes on one that cannot be read."""
    file = folder / "generation_config.json"
    if not file.exists():
        return True, ()
    try:
        sample = read_json(file).get("do_sample", False)
    except CheckpointError:
        return True, (f"{file.name} is damaged and ignored: greedy, as without it",)
    if not isinstance(sample, bool):
        return True, (f"{file.name}: do_sample is {sample!r} and ignored: greedy, as without it",)
    return not sample, ()
