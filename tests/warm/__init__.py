"""Kernels and ranks that begin where the engine's packages are imported already.

Importing torch and transformers takes four seconds of a processor, and many tests start a kernel.
So one process imports them (`tests/warm/parent.py`), and each kernel is a fork of it: a process of
its own, with its own environment, folder, session and files, that is sent the signals which its
starter sends, and ends with it. What depends on how Python itself starts (another variable of
OpenMP, of Hugging Face or of Python, a limit, a flag) is started as ever.

Nothing of ours is imported beforehand. Tests of the first import use the kernel `PLAIN`; tests of
what a rank notices of its launcher's death take `RANKS` out of the environment.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLAIN = "plain"
RANKS = "PYTHON_EXEC"  # what torch's launcher starts ranks with
# what Python and the packages read as they are imported; limits that a test sets for a process
READ_AT_IMPORT = ("ATEN_", "OMP_", "GOMP_", "MKL_", "HF_", "TRANSFORMERS_", "PYTHON", "LD_")
SEEN_TO = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUNBUFFERED")  # a fork does as they say
LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)


def python() -> str:
    """What starts a process that is such a fork, in place of `sys.executable`."""
    return os.environ.get(RANKS, sys.executable)


def offer(folder: Path) -> dict[str, str]:
    """The environment in which Jupyter's "python3" is such a kernel, and `PLAIN` one that is not.

    The parent process is begun by the first of them, and ends with this process. On Linux only:
    elsewhere all begin as ever.
    """
    launched = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    _kernel(folder, PLAIN, [sys.executable, *launched])
    if sys.platform != "linux":
        return {"JUPYTER_PATH": str(folder)}
    child, python = str(HERE / "child.py"), folder / "python"
    _kernel(folder, "python3", [sys.executable, "-IS", child, *launched])
    python.write_text(f"#!{sys.executable} -IS\nimport runpy\nrunpy.run_path({child!r})\n")
    python.chmod(0o755)
    told = json.dumps(_told(folder / "parent", str(python)))
    return {"JUPYTER_PATH": str(folder), RANKS: str(python), "WARM": told}


def _kernel(folder: Path, name: str, argv: list[str]) -> None:
    spec = {"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec | {"metadata": {"debugger": True}}))


def _told(socket: Path, python: str) -> dict[str, Any]:
    """What a starter compares itself with, and where it finds the parent."""
    around = os.environ | {RANKS: python}
    read = {key: around[key] for key in around if key.startswith(READ_AT_IMPORT)}
    return {
        "socket": str(socket),
        "owner": os.getpid(),
        "starts": READ_AT_IMPORT,
        "seen_to": SEEN_TO,
        "read": {key: value for key, value in read.items() if key not in SEEN_TO},
        "limited": LIMITS,
        "limits": [list(resource.getrlimit(limit)) for limit in LIMITS],
        "cpus": sorted(os.sched_getaffinity(0)),
    }
