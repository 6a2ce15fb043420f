"""The built-in model: SmolLM2-135M-Instruct in the gpt-oss architecture. A stand-in, not gpt-oss.

Converted once into the user's cache directory, then loaded like any other checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import StorageError
from gptoss_magic.model.stand_in.source import DATA, GGUF_SHA256, verified_source

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, float], None]

RECIPE = 2


def cache_directory() -> Path:
    """Where converted checkpoints lie: GPTOSS_MAGIC_CACHE or the user's cache directory."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("GPTOSS_MAGIC_CACHE") or user_cache_dir("gptoss_magic"))


def checkpoint(
    cache_dir: Path | None = None,
    *,
    packed: bool = False,
    progress: Progress = lambda note, share: None,
) -> Path:
    """The directory of the converted checkpoint, made on first use (about 750 MB).

    `packed`: the variant with MXFP4 experts (280 MB, minutes to make) in the gpt-oss layout.
    Raises MissingPackage without the source's package, CheckpointError where the source is
    damaged, StorageError where the cache cannot be written. Nothing half-made stays behind.
    """
    from filelock import FileLock

    cache = cache_dir or cache_directory()
    kind = "built-in-mxfp4" if packed else "built-in"
    target = cache / f"{kind}-{RECIPE}-{_data_hash()[:12]}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "built-in.lock"):
            if not target.is_dir():
                _make(target, progress, packed=packed)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{cache}: the built-in model could not be written ({error.strerror or error}); "
            "free 1 GB or set GPTOSS_MAGIC_CACHE to another directory"
        ) from error
    return target


def _make(target: Path, progress: Progress, *, packed: bool) -> None:
    """Convert beside `target`, then move it there in one step."""
    from gptoss_magic.model.stand_in.convert import convert
    from gptoss_magic.model.stand_in.quantize import packed_experts

    source = verified_source()
    for stale in target.parent.glob("making-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    room = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
    try:
        convert(source, room, progress, packed_experts if packed else None)
        room.replace(target)
    finally:
        shutil.rmtree(room, ignore_errors=True)


@cache
def _data_hash() -> str:
    digest = hashlib.sha256(GGUF_SHA256.encode())
    for file in sorted(DATA.glob("*.*")):
        digest.update(f"{file.name}:{file.stat().st_size}:".encode() + file.read_bytes())
    return digest.hexdigest()
