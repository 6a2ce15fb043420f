"""Python processes that this package starts to work for it: their environment, and their end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]  # where the package lies
# what a kernel has in its environment and no other process wants
KERNELS_OWN = ("MPLBACKEND", "JPY_PARENT_PID", "JPY_SESSION_NAME", "JPY_INTERRUPT_EVENT")


def environment() -> dict[str, str]:
    """That of this process, without a kernel's: in it this very package is found.

    The folder that a kernel works in is no place to import from.
    """
    held = {name: value for name, value in os.environ.items() if name not in KERNELS_OWN}
    found = filter(None, [str(ROOT), held.get("PYTHONPATH")])
    return held | {"PYTHONPATH": os.pathsep.join(found), "PYTHONSAFEPATH": "1"}


def leave(code: int) -> NoReturn:
    """End this process with what it printed, and without taking Python and torch apart.

    Threads of an ended process group may still run there, and C++ then aborts a process that had
    done its work ("terminate called without an active exception": one in about fifty).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
