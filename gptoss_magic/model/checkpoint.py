"""A checkpoint on disk: where it lies, what its headers say, its fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from gptoss_magic.errors import CheckpointError

DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1, "I8": 1}
SAMPLE_BYTES = 65_536


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header."""

    file: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * DTYPE_BYTES.get(self.dtype, 1)


@dataclass(frozen=True)
class Checkpoint:
    """config.json and safetensors, read as far as headers; `path` is None while on the hub."""

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
        """True where the experts are packed in MXFP4."""
        quantization = self.config.get("quantization_config") or {}
        return quantization.get("quant_method") == "mxfp4"

    @property
    def files(self) -> list[Path]:
        if self.path is None:
            return []
        return [self.path / name for name in sorted({t.file for t in self.tensors.values()})]


def read_checkpoint(name: str, path: Path, revision: str | None = None) -> Checkpoint:
    """Read config and headers of `path`. Raises CheckpointError where it is not gpt-oss."""
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory; give a checkpoint directory")
    config = checked_config(path / "config.json")
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(path):
        tensors |= read_header(file)
    return Checkpoint(name, path, config, tensors, revision)


def checked_config(file: Path) -> dict[str, Any]:
    """The object in `file`. Raises CheckpointError where it is no gpt-oss config."""
    config = _read_json(file)
    if config.get("model_type") != "gpt_oss":
        kind = config.get("model_type", "no model_type")
        raise CheckpointError(f"{file}: holds {kind!r}, not 'gpt_oss'; give a gpt-oss checkpoint")
    return config


def _weight_files(path: Path) -> list[Path]:
    index = path / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(_read_json(index).get("weight_map", {}).values()))
        files = [path / name for name in names]
    else:
        files = [path / "model.safetensors"]
    for file in files:
        if file.parent != path or not file.is_file():
            raise CheckpointError(f"{file}: missing; download the checkpoint again")
    return files


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{file}: missing; give a complete checkpoint directory") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{file}: damaged JSON ({error}); download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: holds no JSON object; download it again")
    return value


def read_header(file: Path) -> dict[str, Tensor]:
    """Entries of one safetensors header (8 bytes of length, then JSON), sizes checked."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > size - 8:
            raise CheckpointError(f"{file}: damaged or cut off at {size} bytes; download it again")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        tensors = {
            key: Tensor(file.name, entry["dtype"], tuple(entry["shape"]))
            for key, entry in header.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: damaged header; download it again") from error
    if 8 + length + end != size:
        raise CheckpointError(
            f"{file}: {size} bytes where the header asks for {8 + length + end}; download it again"
        )
    return tensors


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
