"""A turn from what is asked to what is kept: settle, answer, tools, memory, surgery, grids, maps.

The same as the magics, for scripts.
"""

from gptoss_magic.turns.answer import answer, generate, respond
from gptoss_magic.turns.grid import Axes, Compared, Grid, compare, grid
from gptoss_magic.turns.loading import bench, load, unload, versions
from gptoss_magic.turns.map import map  # noqa: A004 (what it does)
from gptoss_magic.turns.settle import settle

__all__ = [
    "Axes",
    "Compared",
    "Grid",
    "answer",
    "bench",
    "compare",
    "generate",
    "grid",
    "load",
    "map",
    "respond",
    "settle",
    "unload",
    "versions",
]
