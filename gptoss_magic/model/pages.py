"""Memory that nobody will read again goes back to the system: pages of a file, freed ones."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MAPS = Path("/proc/self/maps")


def let_go(weights: torch.Tensor) -> None:
    """Take the memory of weights off this process where they are the pages of a mapped file.

    They can still be read: from the file. Elsewhere, and on other systems than Linux, nothing
    happens.
    """
    if sys.platform != "linux" or not weights.is_cpu:
        return
    begin = -(-weights.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = weights.data_ptr() + weights.numel() * weights.element_size()
    size = (end - begin) // mmap.PAGESIZE * mmap.PAGESIZE
    with suppress(OSError, AttributeError):
        if size > 0 and _is_file(begin, begin + size):
            madvise = ctypes.CDLL(None).madvise
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


def return_memory() -> None:
    """Give freed pages back: the GPU's cache, and glibc's arenas."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _is_file(begin: int, end: int) -> bool:
    """Whether all of an address range is one mapping of a file: dropping it loses nothing."""
    for line in MAPS.read_text("utf-8", "surrogateescape").splitlines():
        addresses, _rights, _offset, _device, inode, *path = line.split(maxsplit=5)
        first, last = (int(address, 16) for address in addresses.split("-"))
        if first <= begin < last:
            return end <= last and inode != "0" and bool(path) and path[0].startswith("/")
    return False
