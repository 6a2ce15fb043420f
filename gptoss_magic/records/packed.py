"""Token ids and log-probabilities as short text for a notebook's metadata, and back.

Bytes of one kind stand together (all low bytes, then all middle ones ...), which deflate likes:
about 4 characters a token and its log-probability, 5.7 at worst.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

ID_BYTES = 3
AGAIN = "get the file again"  # what to do about a damaged record
MOST = 4_000_000  # numbers in one text; a damaged or hostile one may claim any
SHAPE = re.compile(r"(?:(\d{1,7})\+)?(\d{1,7}):([A-Za-z0-9+/=]*)")


def pack_ids(ids: Sequence[int], before: Sequence[int] = ()) -> str:
    """Token ids as 'COUNT:BASE64', or 'SHARED+COUNT:BASE64' behind what they share with `before`.

    Each id is below 2 ** 24.
    """
    import numpy as np

    shared = _num_common(ids, before)
    planes = np.asarray(ids[shared:], "<u4").view(np.uint8).reshape(-1, 4)[:, :ID_BYTES].T
    head = f"{shared}+" if shared else ""
    return f"{head}{len(ids) - shared}:{_deflated(planes.tobytes())}"


def unpack_ids(text: Any, before: Sequence[int] = ()) -> list[int]:
    """What `pack_ids` packed behind the same `before`. Raises InputError for anything else."""
    import numpy as np

    shared, count, data = _inflated(text, ID_BYTES)
    if shared > len(before):
        raise InputError(
            f"the record is damaged: it shares {shared} tokens with {len(before)}; {AGAIN}"
        )
    planes = np.frombuffer(data, np.uint8).reshape(ID_BYTES, count).astype(np.uint32)
    rest = planes[0] | planes[1] << 8 | planes[2] << 16
    return [*before[:shared], *rest.tolist()]


def pack_logprobs(logprobs: Sequence[float]) -> str:
    """Log-probabilities as float16, 'COUNT:BASE64'."""
    import numpy as np

    halves = np.maximum(np.asarray(logprobs, np.float32), -60000).astype("<f2")
    return f"{len(halves)}:{_deflated(halves.view(np.uint8).reshape(-1, 2).T.tobytes())}"


def unpack_logprobs(text: Any) -> list[float]:
    """What `pack_logprobs` packed. Raises InputError for anything else."""
    import numpy as np

    _, count, data = _inflated(text, 2)
    planes = np.frombuffer(data, np.uint8).reshape(2, count)
    halves = np.ascontiguousarray(planes.T).view("<f2")[:, 0]
    return [float(half) for half in halves]


def _num_common(ids: Sequence[int], before: Sequence[int]) -> int:
    pairs = enumerate(zip(ids, before, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(ids), len(before)))


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode() if data else ""


def _inflated(text: Any, width: int) -> tuple[int, int, bytes]:
    """(tokens shared, count, count * width bytes), never more than is claimed."""
    shape = SHAPE.fullmatch(text) if isinstance(text, str) else None
    if shape is None or int(shape[2]) > MOST:
        raise InputError(f"the record is damaged: its tokens cannot be read; {AGAIN}")
    size = int(shape[2]) * width
    try:
        inflater = zlib.decompressobj()
        packed = base64.b64decode(shape[3], validate=True)
        data = inflater.decompress(packed, size + 1) if packed else b""
    except (binascii.Error, zlib.error) as error:
        raise InputError(
            f"the record is damaged: its tokens cannot be read ({error}); {AGAIN}"
        ) from error
    if len(data) != size:
        raise InputError(
            f"the record is damaged: {len(data)} bytes of tokens in place of {size}; {AGAIN}"
        )
    return int(shape[1] or 0), int(shape[2]), data
