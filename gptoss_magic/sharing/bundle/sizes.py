"""Sizes for people."""

from __future__ import annotations

STEP = 1000


def size_text(num_bytes: float) -> str:
    """`12 kB`, `3.4 MB`."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < STEP:
            return f"{num_bytes:.3g} {unit}" if unit != "B" else f"{num_bytes:.0f} B"
        num_bytes /= STEP
    return f"{num_bytes:.3g} GB"
