"""safetensors headers: each tensor's name, dtype and shape, checked before a tensor is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

# Source: the safetensors format's dtypes, in bits
BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header; `file` is the name of the file that holds it."""

    file: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * BITS.get(self.dtype, 8) // 8


def read_header(file: Path) -> dict[str, Tensor]:
    """Entries of one safetensors header (8 bytes of length, then JSON).

    Raises CheckpointError where the file is no safetensors file, is cut off, or its tensors overlap
    or leave holes.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(len(LFS))
        if start == LFS:
            raise CheckpointError(
                f"{file}: a Git LFS pointer, not the weights; fetch them by `git lfs pull`"
            )
        length = int.from_bytes(start[:8], "little")
        if size < 8 or length > size - 8:
            raise CheckpointError(f"{file}: damaged or cut off at {size} bytes; download it again")
        stream.seek(8)
        raw = stream.read(length)
    try:
        entries = json.loads(raw)
        _check_metadata(entries.pop("__metadata__", None))
        tensors = {key: _tensor(file.name, entry) for key, entry in entries.items()}
        spans = {key: _span(entry) for key, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file}: damaged header; download it again") from error
    _check_spans(file, tensors, spans, size - 8 - length)
    return tensors


def _check_metadata(metadata: Any) -> None:
    values = [] if metadata is None else [*metadata.keys(), *metadata.values()]
    if not all(isinstance(value, str) for value in values):
        raise TypeError("metadata that is no text")


def _tensor(file: str, entry: dict[str, Any]) -> Tensor:
    shape = entry["shape"]
    if not isinstance(entry["dtype"], str) or not _are_sizes(shape):
        raise TypeError("a dtype or shape that is none")
    return Tensor(file, entry["dtype"], tuple(shape))


def _span(entry: dict[str, Any]) -> tuple[int, int]:
    first, end = entry["data_offsets"]
    if not _are_sizes([first, end]):
        raise TypeError("offsets that are no numbers")
    return first, end


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_spans(
    file: Path, tensors: dict[str, Tensor], spans: dict[str, tuple[int, int]], num_bytes: int
) -> None:
    """Tensors follow one another to the file's end, each as long as its dtype and shape say."""
    place = 0
    for key in sorted(spans, key=spans.__getitem__):
        first, end = spans[key]
        tensor = tensors[key]
        if tensor.dtype not in BITS:
            raise CheckpointError(
                f"{file}: {key} is in {tensor.dtype!r}, which is no known dtype; download it again"
            )
        if first != place:
            how = "overlaps another tensor" if first < place else "comes after a hole"
            raise CheckpointError(f"{file}: damaged header: {key} {how}; download it again")
        if end - first != tensor.num_bytes:
            raise CheckpointError(
                f"{file}: damaged header: {key} has {end - first} bytes where {tensor.dtype} "
                f"{list(tensor.shape)} takes {tensor.num_bytes}; download it again"
            )
        place = end
    if place != num_bytes:
        raise CheckpointError(
            f"{file}: {num_bytes} bytes of tensors where the header asks for {place}; "
            "download it again"
        )
