"""llama.cpp as a peer, and ggml inside it: built once from the source of llama-cpp-python."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figure import Unavailable
from benchmarks.process import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
INSIDE = "vendor/llama.cpp/"
PARTS = ("CMakeLists.txt", "LICENSE", "cmake", "ggml", "include", "licenses", "src", "vendor")
HERE = Path(__file__).parent
SOURCES = ("CMakeLists.txt", "ggml_layer.cpp", "llama_model.cpp")


def kept() -> Path:
    """Where source and build are kept."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("gptoss_magic")) / f"{PACKAGE}-{VERSION}"


def ran(what: str, command: list[str], log: Path) -> None:
    """Run `command`, its output in `log`. Raises Unavailable where it fails."""
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise Unavailable(f"{what} failed ({said[-1] if said else 'no output'}); see {log}")


def source(folder: Path) -> Path:
    """llama.cpp's source tree, downloaded by pip the first time."""
    tree = folder / "llama.cpp"
    if tree.exists():
        return tree
    with TemporaryDirectory(dir=folder) as name:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE]
        command = [*pip, "--retries", "1", "--dest", name, f"{PACKAGE}=={VERSION}"]
        ran(f"pip download {PACKAGE}", command, folder / "download.log")
        (archive,) = Path(name).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            wanted = [member for member in tar.getmembers() if is_wanted(member.name)]
            tar.extractall(name, wanted, filter="data")
        next(Path(name).glob(f"*/{INSIDE}")).rename(tree)
    return tree


def is_wanted(name: str) -> bool:
    """Whether a file of the source package is needed to build the library."""
    inside = name.partition("/")[2]
    return inside.startswith(tuple(INSIDE + part for part in PARTS))


def copied(folder: Path) -> Path:
    """A folder with our sources; cmake ties a build to one, whatever checkout runs."""
    ours = folder / "source"
    ours.mkdir(exist_ok=True)
    _, changed, missing = filecmp.cmpfiles(HERE, ours, SOURCES, shallow=False)
    for name in changed + missing:
        shutil.copyfile(HERE / name, ours / name)
    return ours


@cache
def program(target: str) -> Path:
    """`ggml_layer` or `llama_model`, compiled; built where missing or older than its source.

    The first build of `llama_model` takes minutes. Raises Unavailable.
    """
    from filelock import FileLock

    for tool in ("cmake", "make"):
        if shutil.which(tool) is None:
            raise Unavailable(f"llama.cpp is not built: {tool} is missing; install it")
    folder = kept()
    folder.mkdir(parents=True, exist_ok=True)
    build = folder / "build"
    with FileLock(folder / "lock"):
        make = ["cmake", "-S", str(copied(folder)), "-B", str(build), "-G", "Unix Makefiles"]
        ran("cmake", [*make, f"-DLLAMA={source(folder)}"], folder / "configure.log")
        command = ["cmake", "--build", str(build), "--target", target, "--parallel", "2"]
        ran(f"building {target}", command, folder / "build.log")
    return build / target


def model(path: Path, logits: Path, threads: int) -> Process:
    """A GGUF by llama.cpp, as llama_model.cpp says; `logits` gets those of the latest prompt."""
    command: Sequence[str] = (str(program("llama_model")), str(threads), str(path), str(logits))
    return Process(command, "llama_model")
