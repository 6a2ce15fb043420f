"""Packed experts on a GPU: Triton on the packed bytes, or a few experts unpacked for grouped_mm.

Legend: S routed rows sorted by expert, E experts, X experts of one group, N outputs, K inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.mxfp4 import Packed, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    Unpack = Callable[[Packed, torch.Tensor, torch.dtype], torch.Tensor]

LEAST_CAPABILITY = (8, 0)  # bf16 tensor cores, and grouped_mm
MANY_ROWS = 64  # rows per expert, on average; beyond one tile a kernel unpacks a weight repeatedly
MOST_UNPACKED = 8  # experts in bf16 at once: 265 MB of gpt-oss' gate_up


@dataclass(frozen=True)
class Tile:
    """What one program makes, rows by columns, in steps of `depth` along the contracted axis."""

    rows: int
    columns: int
    depth: int
    num_warps: int
    num_stages: int

    def grid(self, num_rows: int, num_experts: int, num_columns: int) -> tuple[int, int]:
        """Programs that suffice for any way to share the rows among the experts."""
        partial = min(num_experts, num_rows)
        tiles = (num_rows + partial * (self.rows - 1)) // self.rows
        return tiles, -(-num_columns // self.columns)

    def options(self, num_experts: int) -> dict[str, Any]:
        """Keyword arguments of a launch."""
        return {
            "EXPERTS": 1 << (num_experts - 1).bit_length(),
            "ROWS": self.rows,
            "COLUMNS": self.columns,
            "DEPTH": self.depth,
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
            "enable_fp_fusion": True,
        }


DECODE = Tile(16, 32, 128, 4, 4)
BATCH = Tile(32, 64, 128, 4, 3)
PREFILL = Tile(64, 128, 64, 8, 3)
UNPACK = {"OUTPUTS": 32, "INPUTS": 128, "num_warps": 4, "enable_fp_fusion": True}


def tile_for(num_rows: int, num_experts: int) -> Tile:
    """The tile for so many rows per expert, on average."""
    rows = num_rows / num_experts
    return DECODE if rows <= DECODE.rows / 2 else BATCH if rows <= BATCH.rows else PREFILL


class Gpu:
    """Triton kernels on the packed bytes; `MANY_ROWS` bf16 rows per expert go to grouped_mm.

    x, dy and results bf16 or fp32, sums fp32. Below `MANY_ROWS` nothing waits for the device.
    """

    name = "Triton"
    moe = None

    def linear(
        self, x_SK: torch.Tensor, offsets: torch.Tensor, w: Packed, bias_EN: torch.Tensor | None
    ) -> torch.Tensor:
        """x·Wᵀ + b of each row's expert, [S, N]."""
        from gptoss_magic.model.triton_kernels import linear_kernel

        if _are_many(x_SK, w):
            return grouped_linear(x_SK, offsets, w, bias_EN, unpack_experts)
        num_experts, n, k = w.shape
        x_SK, y_SN = x_SK.contiguous(), x_SK.new_empty(len(x_SK), n)
        tile, bias = tile_for(len(x_SK), num_experts), _contiguous(bias_EN)
        with _device_of(x_SK):
            linear_kernel[tile.grid(len(x_SK), num_experts, n)](
                *(x_SK, w.blocks, w.scales, bias, offsets, y_SN, num_experts, n, k),
                **tile.options(num_experts),
            )
        return y_SN

    def transposed(self, dy_SN: torch.Tensor, offsets: torch.Tensor, w: Packed) -> torch.Tensor:
        """dy·W of each row's expert, [S, K]."""
        from gptoss_magic.model.triton_kernels import transposed_kernel

        if _are_many(dy_SN, w):
            return grouped_transposed(dy_SN, offsets, w, unpack_experts)
        num_experts, n, k = w.shape
        dy_SN, dx_SK = dy_SN.contiguous(), dy_SN.new_empty(len(dy_SN), k)
        tile = tile_for(len(dy_SN), num_experts)
        with _device_of(dy_SN):
            transposed_kernel[tile.grid(len(dy_SN), num_experts, k)](
                *(dy_SN, w.blocks, w.scales, offsets, dx_SK, num_experts, n, k),
                **tile.options(num_experts),
            )
        return dx_SK


def _device_of(given: torch.Tensor) -> Any:
    """A context in which Triton launches on that tensor's GPU."""
    import torch

    return torch.cuda.device_of(given)  # type: ignore[no-untyped-call]


def _contiguous(given: torch.Tensor | None) -> torch.Tensor | None:
    return None if given is None else given.contiguous()


def _are_many(rows: torch.Tensor, w: Packed) -> bool:
    """True where unpacking whole experts pays: bf16, and many rows for each."""
    import torch

    return rows.dtype == torch.bfloat16 and len(rows) >= MANY_ROWS * w.shape[0]


def unpack_experts(w: Packed, experts_X: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """W [X, N, K] of the experts with those numbers (int32)."""
    import torch

    from gptoss_magic.model.triton_kernels import unpack_kernel

    _, n, k = w.shape
    w_XNK = torch.empty(len(experts_X), n, k, dtype=dtype, device=w.blocks.device)
    grid = len(experts_X), -(-n // UNPACK["OUTPUTS"]), -(-k // UNPACK["INPUTS"])
    with _device_of(w.blocks):
        unpack_kernel[grid](w.blocks, w.scales, experts_X, w_XNK, n, k, **UNPACK)
    return w_XNK


@dataclass(frozen=True)
class Group:
    """Routed experts (int32 [X]), their rows, and where in those each expert's end (int32 [X])."""

    experts: torch.Tensor
    rows: slice
    ends: torch.Tensor

    def spread(self, bias_EN: torch.Tensor) -> torch.Tensor:
        """Each row's bias, [rows, N]."""
        import torch

        row = torch.arange(self.rows.stop - self.rows.start, device=bias_EN.device)
        return bias_EN[self.experts[torch.searchsorted(self.ends, row, right=True)]]


def routed_groups(offsets: torch.Tensor) -> Iterator[Group]:
    """The experts that have rows, `MOST_UNPACKED` at a time. Waits for the device."""
    import torch

    places = offsets.tolist()
    routed = [e for e, (first, end) in enumerate(pairwise(places)) if first < end]
    for i in range(0, len(routed), MOST_UNPACKED):
        experts = routed[i : i + MOST_UNPACKED]
        first, ends = places[experts[0]], [places[e + 1] for e in experts]
        numbers = torch.tensor(
            [experts, [end - first for end in ends]], dtype=torch.int32, device=offsets.device
        )
        yield Group(numbers[0], slice(first, ends[-1]), numbers[1])


def grouped_linear(
    x_SK: torch.Tensor,
    offsets: torch.Tensor,
    w: Packed,
    bias_EN: torch.Tensor | None,
    unpack: Unpack,
) -> torch.Tensor:
    """x·Wᵀ + b of each row's expert, [S, N]; `MOST_UNPACKED` experts at most are unpacked."""
    from torch.nn.functional import grouped_mm

    x_SK, y_SN = x_SK.contiguous(), x_SK.new_empty(len(x_SK), w.shape[1])
    for group in routed_groups(offsets):
        w_XKN = unpack(w, group.experts, x_SK.dtype).mT
        y = grouped_mm(x_SK[group.rows], w_XKN, offs=group.ends)
        del w_XKN
        y_SN[group.rows] = y if bias_EN is None else y + group.spread(bias_EN).to(y.dtype)
    return y_SN


def grouped_transposed(
    dy_SN: torch.Tensor, offsets: torch.Tensor, w: Packed, unpack: Unpack
) -> torch.Tensor:
    """dy·W of each row's expert, [S, K]; `MOST_UNPACKED` experts at most are unpacked."""
    from torch.nn.functional import grouped_mm

    dy_SN, dx_SK = dy_SN.contiguous(), dy_SN.new_empty(len(dy_SN), w.shape[2])
    for group in routed_groups(offsets):
        w_XNK = unpack(w, group.experts, dy_SN.dtype)
        dx_SK[group.rows] = grouped_mm(dy_SN[group.rows], w_XNK, offs=group.ends)
        del w_XNK
    return dx_SK


@cache
def gpu(device: torch.device) -> tuple[Gpu | None, str]:
    """(the backend for that CUDA device, why there is none)."""
    import torch

    why = why_not(torch.cuda.get_device_capability(device)) or trial(device, torch.bfloat16)
    return (None, why) if why else (Gpu(), "")


def why_not(capability: tuple[int, int]) -> str:
    """Why the kernels are not for GPUs of that compute capability; '' where they are."""
    if capability >= LEAST_CAPABILITY:
        return ""
    least, given = (".".join(map(str, pair)) for pair in (LEAST_CAPABILITY, capability))
    return f"the Triton kernels take compute capability {least} or newer, this GPU has {given}"


def trial(device: torch.device, dtype: torch.dtype) -> str:
    """What is wrong with Triton on that device, after one small product; '' where nothing is."""
    import torch

    blocks = torch.arange(2 * 16 * 2 * 16, device=device).reshape(2, 16, 2, 16)
    scales = torch.arange(2 * 16 * 2, device=device).reshape(2, 16, 2) % 4 + 126
    w = Packed(blocks.to(torch.uint8), scales.to(torch.uint8))
    x_SK = (torch.arange(3 * 64, device=device).reshape(3, 64) % 7 - 3).to(dtype)
    offsets = torch.tensor([0, 1, 3], dtype=torch.int32, device=device)
    w_SNK = unpack(w.blocks, w.scales)[[0, 1, 1]]
    try:
        y_SN = Gpu().linear(x_SK, offsets, w, None)
    except Exception as error:  # noqa: BLE001 (no triton, no compiler, an old driver: torch then)
        return f"Triton does not run here ({str(error).splitlines()[0]})"
    # halves and small integers: every order of summing gives the very same sum
    right = torch.equal(y_SN, (w_SNK @ x_SK.float()[:, :, None])[:, :, 0].to(dtype))
    return "" if right else "Triton gives wrong products here"
