"""Compile the kernels into one shared library: python build.py OUT. Needs g++ or clang++."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMMON = [
    "-O3",
    "-std=c++17",
    "-pthread",
    "-fPIC",
    "-fvisibility=default",
    "-ffp-contract=fast",
    "-fno-math-errno",
]
AVX2 = ["-mavx2", "-mfma", "-DKERNELS=kernels_avx2", '-DNAME="avx2"']
AVX512 = [
    *("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16"),
    "-mprefer-vector-width=512",
]


def compiler() -> str | None:
    """The C++ compiler: $CXX, g++ or clang++."""
    return next(
        filter(None, map(shutil.which, [os.environ.get("CXX", ""), "g++", "clang++"])), None
    )


def units() -> list[tuple[str, list[str]]]:
    """Source files with their flags on this processor family."""
    made: list[tuple[str, list[str]]] = [
        ("dispatch.cpp", []),
        ("team.cpp", []),
        ("portable.cpp", []),
    ]
    if platform.machine() in ("x86_64", "AMD64"):
        made.append(("portable.cpp", AVX2))
        wide = ("avx512.cpp", "avx512_stream.cpp", "amx.cpp", "amx_attend.cpp")
        made += [(name, AVX512) for name in wide]
    return made


def build(out: Path) -> None:
    """Compile to `out`; subprocess.CalledProcessError says what the compiler said."""
    cxx = compiler()
    if cxx is None:
        raise FileNotFoundError("no C++ compiler: install g++ or clang++")
    for threads in (["-fopenmp"], []):  # Apple's clang has no OpenMP
        try:
            return _build(cxx, threads, out)
        except subprocess.CalledProcessError:
            if not threads:
                raise


def _build(cxx: str, threads: list[str], out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        objects, running = [], []
        for number, (source, flags) in enumerate(units()):
            objects.append(str(Path(folder) / f"{number}.o"))
            command = [cxx, *COMMON, *threads, *flags, "-c", str(HERE / source), "-o", objects[-1]]
            running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        for process in running:
            _, said = process.communicate()
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args, stderr=said)
        made = Path(folder) / out.name
        subprocess.run(
            [cxx, "-shared", "-pthread", *threads, *objects, "-o", str(made)], check=True
        )
        shutil.move(str(made), out)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
