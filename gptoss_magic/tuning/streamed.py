"""A safetensors file written tensor after tensor, so that no two need be in memory at once.

Source: the format's description in safetensors' README: eight bytes with the header's length, the
header as JSON, then all tensors without a gap.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NAMES = {
    "float64": "F64",
    "int64": "I64",
    "float32": "F32",
    "int32": "I32",
    "bfloat16": "BF16",
    "float16": "F16",
    "uint8": "U8",
}


def write_streamed(
    file: Path, about: Sequence[tuple[str, Any, Sequence[int]]], tensors: Iterable[Any]
) -> None:
    """`about`: (name, dtype, shape) of each of `tensors`, in their order.

    Whoever has wide numbers first has each tensor at a multiple of its numbers' size. Raises
    OSError where it cannot be written, KeyError for a dtype that is not in `NAMES`.
    """
    header, place = {}, 0
    for name, dtype, shape in about:
        end = place + _count(shape) * dtype.itemsize
        kind = NAMES[str(dtype).removeprefix("torch.")]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            _write(stream, tensor)


def _count(shape: Sequence[int]) -> int:
    number = 1
    for size in shape:
        number *= int(size)
    return number


def _write(stream: Any, tensor: Any) -> None:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    stream.write(memoryview(flat.view(torch.uint8).numpy()))
