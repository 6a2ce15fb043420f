"""The processor, its threads and memory, the compiler, the kernels in use, GPUs, confinement."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.doctor.finding import State

GB = 1e9
LEAST_MEMORY = 1.5 * GB  # of the quick start on the built-in model
CGROUP = Path("/sys/fs/cgroup")
REINSTALL = "pip install --force-reinstall --no-deps gptoss_magic"


def processor() -> Iterator[Finding]:
    """Its name, the processors that this process may use, and the threads that torch starts."""
    import torch

    threads, usable = torch.get_num_threads(), usable_processors()
    words = f"{processor_name()}; {usable:g} of {os.cpu_count()} processors, {threads} threads"
    if threads > max(1, usable):
        remedy = f"export OMP_NUM_THREADS={max(1, int(usable))}: more threads wait for each other"
        yield Finding("processor", "missing", words, remedy)
        return
    yield Finding("processor", "ok", words)


def usable_processors() -> float:
    """Those that this process may run on, less where its control group has a quota."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(CGROUP / "cpu.max").partition(" ")
    return min(here, int(quota) / int(period)) if quota.isdigit() and period.isdigit() else here


def processor_name() -> str:
    """As Linux calls it; elsewhere the machine's kind."""
    names = [
        line.partition(":")[2].strip()
        for line in _read(Path("/proc/cpuinfo")).splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def memory() -> Iterator[Finding]:
    """What is free now, of all; a control group's limit counts."""
    import psutil

    seen = psutil.virtual_memory()
    limit = _read(CGROUP / "memory.max")
    total = min(seen.total, int(limit)) if limit.isdigit() else seen.total
    free = min(seen.available, total)
    words = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    if free < LEAST_MEMORY:
        remedy = f"free {LEAST_MEMORY / GB} GB: the built-in model needs as much"
        yield Finding("memory", "fails", words, remedy)
        return
    yield Finding("memory", "ok", words)


def compiler() -> Iterator[Finding]:
    """The C++ compiler that an installation compiles the kernels with."""
    from gptoss_magic.model.native.build import compiler as found

    path = found()
    if path is None:
        remedy = f"install g++ or clang++ (Debian: apt-get install g++), then {REINSTALL}"
        yield Finding("compiler", "missing", "no g++ or clang++ on the path, and no CXX", remedy)
        return
    yield Finding("compiler", "ok", Path(path).name)


def kernels() -> Iterator[Finding]:
    """What multiplies packed and bf16 weights on the processor."""
    from gptoss_magic.model.backends import native

    library, why = native()
    if library is None:
        words = f"plain torch, slower: {why}"
        yield Finding("kernels", "missing", words, f"install a C++ compiler, then {REINSTALL}")
        return
    yield Finding("kernels", "ok", library.name)


def gpu() -> Iterator[Finding]:
    """Each CUDA device with what multiplies there; why a card that is here is not seen."""
    import torch

    from gptoss_magic.model.gpu import gpu as backend

    if not torch.cuda.is_available():
        is_there = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()
        if is_there and torch.version.cuda is None:
            words = "a card is here, but this torch is one for processors"
            yield Finding(
                "GPU", "missing", words, "install a torch for CUDA (pytorch.org says which)"
            )
        elif is_there:
            words = f"a card is here, but torch for CUDA {torch.version.cuda} does not see it"
            yield Finding("GPU", "missing", words, "look at nvidia-smi: the driver may be older")
        else:
            yield Finding("GPU", "missing", "none: the processor computes")
        return
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        name = f"{about.name}, {about.total_memory / GB:.0f} GB, {about.major}.{about.minor}"
        found, why = backend(torch.device("cuda", number))
        remedy = "" if found else "pip install 'gptoss_magic[gpu]'"
        state: State = "ok" if found else "missing"
        words = f"{name}; {found.name if found else f'plain torch: {why}'}"
        yield Finding(f"GPU {number}", state, words, remedy)


def confinement() -> Iterator[Finding]:
    """Whether code of a model can be run without network, other processes and writes."""
    from gptoss_magic.agents.python import ProcessLimits, run_process
    from gptoss_magic.errors import InputError

    try:
        ran = run_process("1 + 1", ProcessLimits(is_confined=True))
    except InputError as error:
        yield Finding("confinement", "missing", f"suites that run code are refused: {error}")
        return
    is_right = ran.output.strip() == "2"
    words = "code of a model runs by seccomp without network and writes"
    yield Finding("confinement", "ok" if is_right else "missing", words if is_right else ran.output)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
