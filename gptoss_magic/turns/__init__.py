"""The same as the magics, for scripts: `load`, `generate`, `map`, `unload`."""

from gptoss_magic.turns.answer import generate, respond
from gptoss_magic.turns.grid import BASE, Axes, Compared, Grid, compare, grid
from gptoss_magic.turns.loading import bench, load, unload, versions
from gptoss_magic.turns.map import map  # noqa: A004 (what it does)
from gptoss_magic.turns.settle import PROVENANCE_KEY, opening, sampling_settings

__all__ = [
    "BASE",
    "PROVENANCE_KEY",
    "Axes",
    "Compared",
    "Grid",
    "bench",
    "compare",
    "generate",
    "grid",
    "load",
    "map",
    "opening",
    "respond",
    "sampling_settings",
    "unload",
    "versions",
]
