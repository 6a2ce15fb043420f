"""ggml's MXFP4 layer as a peer, with the same weights as ours."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.llama import program
from benchmarks.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("repacked", "plain")  # buffers


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


class Layer(Process):
    """ggml_layer.cpp as a process that stays: `ms(calls)` of one call, `first` result [T, H]."""

    def __init__(self, folder: Path, kind: str, threads: int) -> None:
        import numpy as np

        files = [str(folder / name) for name in ("weights", "inputs", kind)]
        command = [str(program("ggml_layer")), str(threads), kind, *files]
        super().__init__(command, f"ggml_layer ({kind})")
        self.first = np.fromfile(folder / kind, dtype=np.float32)

    def ms(self, calls: int) -> float:
        """Milliseconds of one call over `calls` of them."""
        return self.ask(calls)[0]


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
