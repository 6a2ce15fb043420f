"""LangChain, Chroma, LlamaIndex and Haystack in a venv of their own, beside our pins."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.figure import last_json
from benchmarks.llama import ran

ROOT = Path(__file__).parents[1]
PINNED = ROOT / "requirements" / "bench.txt"
OURS = ("corpus", "search_ours")
QUIET = {"ANONYMIZED_TELEMETRY": "False", "HAYSTACK_TELEMETRY_ENABLED": "False"}


def kept(pins: Path = PINNED) -> Path:
    """Where the venv of these pins lies: another one for other pins or another Python."""
    from platformdirs import user_cache_dir

    made_of = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    name = "peers" if pins == PINNED else pins.stem
    return Path(user_cache_dir("gptoss_magic")) / f"{name}-{made_of}"


def peers_python() -> Path:
    """The interpreter of the benchmarks' peers. Raises Unavailable."""
    return python_with(PINNED)


@cache
def python_with(pins: Path, *flags: str) -> Path:
    """The interpreter of a venv of these pins, made the first time. Raises Unavailable.

    `flags`: of pip install, such as --no-deps.
    """
    from filelock import FileLock

    folder = kept(pins)
    python = folder / "venv" / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "done").exists():
            log = folder / "venv.log"
            venv = [sys.executable, "-m", "venv", "--clear", str(python.parents[1])]
            ran("python -m venv", venv, log)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            ran(f"pip install of {pins.name}", [*pip, *flags, "-r", str(pins)], folder / "pip.log")
            (folder / "done").touch()
    return python


def side(module: str, *arguments: object) -> dict[str, Any]:
    """The JSON in the last line of `python -m benchmarks.MODULE`, in a fresh process.

    Ours run in this interpreter, peers in theirs; both see this checkout.
    """
    python = sys.executable if module in OURS else str(peers_python())
    return last_json(
        [python, "-m", f"benchmarks.{module}", *map(str, arguments)],
        module,
        cwd=ROOT,
        env=os.environ | QUIET | {"PYTHONPATH": str(ROOT)},
    )
