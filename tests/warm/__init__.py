"""Kernels and ranks that begin where the engine's packages are imported already.

Importing torch and transformers takes eight seconds of a processor, and many tests start a kernel.
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

    The parent process is begun by the first of them, and ends with this process.
    """
    launched = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    client = [sys.executable, "-IS", str(HERE / "child.py")]
    for name, argv in {"python3": [*client, *launched], PLAIN: [sys.executable, *launched]}.items():
        spec = {"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}
        place = folder / "kernels" / name
        place.mkdir(parents=True)
        spec["metadata"] = {"debugger": True}
        (place / "kernel.json").write_text(json.dumps(spec))
    python = folder / "python"
    python.write_text(f"#!{sys.executable} -IS\nimport runpy\nrunpy.run_path({client[-1]!r})\n")
    python.chmod(0o755)
    read = {
        key: value
        for key, value in (os.environ | {RANKS: str(python)}).items()
        if key.startswith(READ_AT_IMPORT) and key not in SEEN_TO
    }
    told = {
        "socket": str(folder / "parent"),
        "owner": os.getpid(),
        "starts": READ_AT_IMPORT,
        "seen_to": SEEN_TO,
        "read": read,
        "limited": LIMITS,
        "limits": [list(resource.getrlimit(limit)) for limit in LIMITS],
        "cpus": sorted(os.sched_getaffinity(0)),
    }
    return {"JUPYTER_PATH": str(folder), RANKS: str(python), "WARM": json.dumps(told)}
