"""store_query_*: the 10 nearest of 1,000 and of 100,000 rows, in each vector store of a disk."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, Unavailable, compared, last_json
from benchmarks.peers import QUIET, ROOT, peers_python

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (1_000, 100_000)
# Chroma's packages stand before ours, which are there for what ours needs
BEHIND = """
import runpy, sys
sys.path += sys.argv[1].split(":")
sys.argv = sys.argv[2:]
runpy.run_module("benchmarks.store_query", run_name="__main__")
"""


def command(kind: str, num: int) -> list[str]:
    """The process that measures a store."""
    if kind != "chroma":
        if importlib.util.find_spec({"faiss": "faiss"}.get(kind, kind)) is None:
            raise Unavailable(f"{kind} is not installed")
        return [sys.executable, "-m", "benchmarks.store_query", kind, str(num)]
    ours = ":".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    return [str(peers_python()), "-c", BEHIND, ours, "store_query", kind, str(num)]


def store_query(kind: str, _repeats: int) -> Figure:
    """A query of 100,000 rows against numpy, which compares all and reads no row."""
    around = os.environ | QUIET | {"PYTHONPATH": str(ROOT)}
    told = {
        num: last_json(command(kind, num), "store_query", cwd=ROOT, env=around) for num in SIZES
    }
    small, large = (told[num] for num in SIZES)
    what = (
        f"the 10 nearest of 100,000 vectors of 256 numbers with their rows, {kind}, against numpy "
        f"over all vectors in memory; recall {large['recall']:.3f}; of 1,000: {small['ms']:.2f} ms"
    )
    figure = compared(
        f"store_query_{kind}", "ms", large["ms"], large["numpy_ms"], what, less_is_better=True
    )
    return replace(figure, more={f"{num:,}": told[num] for num in SIZES})


STORES: dict[str, Callable[[int], Figure]] = {
    f"store_query_{kind}": partial(store_query, kind) for kind in ("lancedb", "faiss", "chroma")
}
