"""quickstart_peak_rss_mb: what the quick start needs beside its server, as Binder has 2 GB."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figure import Figure, compared

QUICK_START = Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"
BUDGET_MB = 1600.0  # of Binder's 2 GB, the rest is for the page cache and a second kernel at rest
STEP_S = 0.05
NO_TRITON = "raise ImportError('left out, as in binder/environment.yml')\n"
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
where = {"metadata": {"path": sys.argv[2]}}
NotebookClient(notebook, timeout=1200, store_widget_state=False, resources=where).execute()
"""


def rss_mb(process: psutil.Process, *, with_itself: bool) -> float:
    """Resident memory of a process and all below it, in MB."""
    try:
        below = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(_own_mb, [process, *below] if with_itself else below))


def _own_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def peak_mb(notebook: Path) -> tuple[float, float]:
    """(peak of the kernel with a Lab server beside it, the server's part), in MB.

    The kernel is a child of the process that runs the cells, which no front end needs. Triton,
    which torch would import with all of its compiler, is not in Binder's image and is kept out.
    """
    peak = server_mb = 0.0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder, "triton.py").write_text(NO_TRITON)
        server, runner = _started(notebook, folder)
        held, cells = psutil.Process(server.pid), psutil.Process(runner.pid)
        try:
            while runner.poll() is None:
                server_mb = max(server_mb, rss_mb(held, with_itself=True))
                peak = max(peak, server_mb + rss_mb(cells, with_itself=False))
                time.sleep(STEP_S)
        finally:
            server.terminate()
            server.wait(30)
            runner.kill()
        if runner.returncode:
            said = runner.stderr.read().strip().splitlines() if runner.stderr else []
            raise RuntimeError(f"{notebook.name}: {said[-1] if said else 'it failed'}")
    return peak, server_mb


def _started(notebook: Path, folder: str) -> tuple[subprocess.Popen[bytes], subprocess.Popen[str]]:
    """A Lab server, and a process that runs the cells; both see what lies in `folder` first."""
    paths = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
    around = os.environ | {"PYTHONPATH": paths}
    lab = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    server = subprocess.Popen([*lab, f"--ServerApp.root_dir={folder}"], stderr=subprocess.DEVNULL)
    run = [sys.executable, "-c", RUN, str(notebook), folder]
    return server, subprocess.Popen(run, stderr=subprocess.PIPE, text=True, env=around)


def quickstart_peak_rss_mb(_repeats: int) -> Figure:
    """The kernel of the quick start and a Lab server, against what Binder leaves."""
    peak, server = peak_mb(QUICK_START)
    what = (
        f"peak resident memory of the quick start's kernel ({peak - server:.0f} MB) and a Lab "
        f"server ({server:.0f} MB), against a budget of {BUDGET_MB:.0f} MB within Binder's 2 GB"
    )
    return compared("quickstart_peak_rss_mb", "MB", peak, BUDGET_MB, what, less_is_better=True)
