"""A checkpoint on disk: where it lies, what its headers say, its fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.headers import Tensor, read_header

SAMPLE_BYTES = 65_536
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PACKED = ("gate_up_proj_blocks", "down_proj_blocks")
OTHER_FORMATS = {
    "*.gguf": "GGUF, a format of llama.cpp",
    "*.bin": "pickles, which can run code when they are opened",
    "*.pt": "pickles, which can run code when they are opened",
    "*.npz": "weights of MLX",
}


@dataclass(frozen=True)
class Checkpoint:
    """config.json as it was written and safetensors as far as headers.

    `path` is None while it is on the hub.
    """

    name: str
    path: Path | None
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    revision: str | None = None

    @property
    def num_bytes(self) -> int:
        return sum(tensor.num_bytes for tensor in self.tensors.values())

    @property
    def is_packed(self) -> bool:
        """True where the experts are packed in MXFP4, as their tensors say."""
        return any(key.endswith(PACKED) for key in self.tensors)

    @property
    def files(self) -> list[Path]:
        if self.path is None:
            return []
        return [self.path / name for name in sorted({t.file for t in self.tensors.values()})]

    @property
    def place(self) -> str:
        """Where it is, for an error's line."""
        return str(self.path or self.name)


def read_checkpoint(name: str, path: Path, revision: str | None = None) -> Checkpoint:
    """Read config and headers of `path`. Raises CheckpointError where it is not gpt-oss."""
    if not path.exists():
        raise CheckpointError(f"{path}: no such directory; give a checkpoint directory")
    if not path.is_dir():
        raise CheckpointError(f"{path}: a file; give the checkpoint's directory, with safetensors")
    if not (path / "config.json").exists() and (path / "adapter_config.json").exists():
        raise CheckpointError(
            f"{path}: an adapter, not a model; load its base model, then %gptoss lora attach {path}"
        )
    config = checked_config(path / "config.json")
    places = _places(path)
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(path, places):
        for key, tensor in read_header(file).items():
            if key not in tensors or places.get(key) == tensor.file:  # twice: as the index says
                tensors[key] = tensor
    return Checkpoint(name, path, config, tensors, revision)


def checked_config(file: Path) -> dict[str, Any]:
    """The object in `file`. Raises CheckpointError where it is no gpt-oss config."""
    config = read_json(file)
    if config.get("model_type") != "gpt_oss":
        kind = config.get("model_type", "no model_type")
        raise CheckpointError(f"{file}: holds {kind!r}, not 'gpt_oss'; give a gpt-oss checkpoint")
    return config


def _places(path: Path) -> dict[str, str]:
    """Which file holds which tensor, as the index says; a single file needs none, as in
    transformers.
    """
    index = path / INDEX
    if (path / SINGLE).is_file() or not index.exists():
        return {}
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: has no weight_map; download it again")
    wrong = [name for name in places.values() if not _is_name(name)]
    if wrong:
        raise CheckpointError(f"{index}: {wrong[0]!r} names no file beside it; download it again")
    return places


def _is_name(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name


def _weight_files(path: Path, places: dict[str, str]) -> list[Path]:
    if not places:
        if (path / SINGLE).is_file():
            return [path / SINGLE]
        raise CheckpointError(f"{path}: {_no_weights(path)}")
    files = [path / name for name in sorted(set(places.values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise CheckpointError(
            f"{path / missing[0]}: missing, one of {len(missing)} of {len(files)} files that "
            f"{INDEX} names; {_instead(path)}"
        )
    return files


def _no_weights(path: Path) -> str:
    """Why there is nothing to read, and what to do."""
    if any(path.glob("*.safetensors")):
        return f"neither {SINGLE} nor {INDEX}; {_instead(path)}"
    for pattern, kind in OTHER_FORMATS.items():
        other = next(path.glob(pattern), None)
        if other is not None:
            return (
                f"only {other.name} is here ({kind}); give a checkpoint in safetensors, such as "
                "openai/gpt-oss-20b"
            )
    return f"{SINGLE} is missing; download the checkpoint again"


def _instead(path: Path) -> str:
    """What to do about an index that does not fit the files that are there."""
    there = sorted(file.name for file in path.glob("*.safetensors"))
    if not there:
        return "download the checkpoint again"
    more = f" and {len(there) - 2} more" if len(there) > 2 else ""
    return (
        f"here are {', '.join(there[:2])}{more}: fetch the rest, or the {INDEX} that belongs to "
        "them"
    )


def read_json(file: Path, remedy: str = "download it again") -> dict[str, Any]:
    """The JSON object in `file`, in UTF-8 with or without a BOM, UTF-16 or UTF-32.

    Raises CheckpointError where there is none; `remedy` says what to do.
    """
    try:
        value = json.loads(file.read_bytes(), parse_constant=_no_number)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: missing; give a complete directory") from None
    except OSError as error:
        raise CheckpointError(
            f"{file}: cannot be read ({error.strerror}); see who may read it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: damaged JSON ({error}); {remedy}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: holds no JSON object; {remedy}")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def fingerprint(checkpoint: Checkpoint) -> str:
    """SHA-256 over config, headers' size and a sample of 64 KiB from start, middle and end.

    Tells checkpoints apart in milliseconds; it is no proof against tampering.
    """
    digest = hashlib.sha256(json.dumps(checkpoint.config, sort_keys=True).encode())
    for file in checkpoint.files:
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}".encode())
        with file.open("rb") as stream:
            for place in (0, size // 2, max(0, size - SAMPLE_BYTES)):
                stream.seek(place)
                digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()
