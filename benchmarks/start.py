"""load_ext_ms: what loading the extension adds to a bare shell."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.figure import Figure, compared, interleaved

SHELL = (
    "from IPython.core.interactiveshell import InteractiveShell\n"
    "shell = InteractiveShell.instance()\n"
)
LOAD = "import gptoss_magic\nshell.run_line_magic('load_ext', 'gptoss_magic')\n"


def wall_ms(code: str) -> float:
    """Milliseconds of a fresh interpreter that runs `code`."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdin=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - begin)


def load_ext_ms(repeats: int) -> Figure:
    """A fresh interpreter with a shell and the extension against one with the shell alone."""
    ours, peer = interleaved(lambda: wall_ms(SHELL + LOAD), lambda: wall_ms(SHELL), 3 * repeats)
    what = (
        "fresh interpreter: IPython shell with import and %load_ext against the bare shell; "
        f"the extension adds {ours - peer:.0f} ms"
    )
    return compared("load_ext_ms", "ms", ours, peer, what, less_is_better=True)
