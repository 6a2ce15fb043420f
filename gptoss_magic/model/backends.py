"""Who multiplies by packed weights: plain torch, the C++ library on CPUs, Triton on GPUs.

A backend has `linear`, `transposed`, and `moe`: the whole layer in one call, or None.

Legend: S routed rows sorted by expert, E experts, N outputs, K inputs, T tokens.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.gpu import gpu

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.model.gpu import Gpu
    from gptoss_magic.model.mxfp4 import Packed

LIBRARY = Path(__file__).parent / "native" / "libgptoss.so"
VERSION = 7
NOT_RUN = "(not run on a GPU by its authors yet)"


class Plain:
    """One routed expert at a time is unpacked; any device and dtype. The oracle of the others."""

    name = "torch"
    moe = None

    def linear(
        self, x_SK: torch.Tensor, offsets: torch.Tensor, w: Packed, bias_EN: torch.Tensor | None
    ) -> torch.Tensor:
        """x·Wᵀ + b of each row's expert, [S, N]."""
        y_SN = x_SK.new_empty(len(x_SK), w.shape[1])
        for expert, first, last in groups(offsets):
            y = x_SK[first:last] @ w.expert(expert, x_SK.dtype).T
            y_SN[first:last] = y if bias_EN is None else y + bias_EN[expert].to(y.dtype)
        return y_SN

    def transposed(self, dy_SN: torch.Tensor, offsets: torch.Tensor, w: Packed) -> torch.Tensor:
        """dy·W of each row's expert, [S, K]."""
        dx_SK = dy_SN.new_empty(len(dy_SN), w.shape[2])
        for expert, first, last in groups(offsets):
            dx_SK[first:last] = dy_SN[first:last] @ w.expert(expert, dy_SN.dtype)
        return dx_SK


def groups(offsets: torch.Tensor) -> list[tuple[int, int, int]]:
    """(expert, first row, last row) of the experts that have rows."""
    places = offsets.tolist()
    return [(e, a, b) for e, (a, b) in enumerate(pairwise(places)) if a < b]


class Native:
    """The C++ library: bf16 on a CPU, fp32 accumulation."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        library.gm_name.restype = ctypes.c_char_p

    @property
    def name(self) -> str:
        return f"C++ ({self.library.gm_name().decode()})"

    @property
    def most_tokens(self) -> int:
        """New tokens of a decode step in bf16 that these kernels are the fastest for."""
        return int(self.library.gm_most_tokens())

    def select(self, name: str) -> bool:
        """Use the kernels of that name (amx-bf16, avx512-bf16, …); False where they cannot."""
        return bool(self.library.gm_select(name.encode()))

    def linear(
        self, x_SK: torch.Tensor, offsets: torch.Tensor, w: Packed, bias_EN: torch.Tensor | None
    ) -> torch.Tensor:
        """x·Wᵀ + b of each row's expert, [S, N]."""
        import torch

        x_SK = x_SK.contiguous()
        y_SN = torch.empty(len(x_SK), w.shape[1])
        bias = None if bias_EN is None else bias_EN.to(torch.bfloat16).contiguous()
        self._call("gm_linear", x_SK, offsets, w.blocks, w.scales, bias, *w.shape, y_SN, _threads())
        return y_SN.to(x_SK.dtype)

    def transposed(self, dy_SN: torch.Tensor, offsets: torch.Tensor, w: Packed) -> torch.Tensor:
        """dy·W of each row's expert, [S, K]."""
        import torch

        dy_SN = dy_SN.contiguous()
        dx_SK = torch.empty(len(dy_SN), w.shape[2])
        self._call(
            "gm_linear_transposed", dy_SN, offsets, w.blocks, w.scales, *w.shape, dx_SK, _threads()
        )
        return dx_SK.to(dy_SN.dtype)

    def moe(  # noqa: PLR0917 (a layer has that many parts)
        self,
        x_TH: torch.Tensor,
        ids_Tk: torch.Tensor,
        weights_Tk: torch.Tensor,
        up: tuple[Packed, torch.Tensor],
        down: tuple[Packed, torch.Tensor],
        alpha: float,
        limit: float,
    ) -> torch.Tensor:
        """The whole experts layer, [T, H], without gradients."""
        parts = [part for w, bias in (up, down) for part in (w.blocks, w.scales, bias)]
        routing, limits = (x_TH, ids_Tk, weights_Tk), (alpha, limit)
        return self._experts("gm_moe", routing, parts, down[0].shape, limits)

    def moe_dense(  # noqa: PLR0917 (a layer has that many parts)
        self,
        x_TH: torch.Tensor,
        ids_Tk: torch.Tensor,
        weights_Tk: torch.Tensor,
        up: tuple[torch.Tensor, torch.Tensor],
        down: tuple[torch.Tensor, torch.Tensor],
        alpha: float,
        limit: float,
    ) -> torch.Tensor:
        """The whole experts layer of bf16 matrices, up [E, 2I, H] and down [E, H, I] with their
        biases, [T, H]; for a few tokens, without gradients.
        """
        routing, limits = (x_TH, ids_Tk, weights_Tk), (alpha, limit)
        return self._experts("gm_moe_dense", routing, [*up, *down], down[0].shape, limits)

    def _experts(
        self,
        name: str,
        routing: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        parts: Sequence[torch.Tensor],
        shape: Sequence[int],
        limits: tuple[float, float],
    ) -> torch.Tensor:
        """`shape` is that of the down projections, [E, H, I]; `limits` the activation's."""
        import torch

        x_TH, ids_Tk, weights_Tk = routing
        x_TH, out_TH = x_TH.contiguous(), torch.empty_like(x_TH)
        ids, weights = ids_Tk.int().contiguous(), weights_Tk.float().contiguous()
        given = (x_TH, len(x_TH), ids.shape[1], ids, weights, *parts)
        self._call(name, *given, *shape, *map(float, limits), out_TH, _threads())
        return out_TH

    def dense(
        self, x_MK: torch.Tensor, w_NK: torch.Tensor, bias_N: torch.Tensor | None
    ) -> torch.Tensor:
        """x·Wᵀ + b of bf16 for a few rows, rounded once, [M, N]."""
        import torch

        x_MK = x_MK.contiguous()
        y_MN = torch.empty(len(x_MK), len(w_NK), dtype=torch.bfloat16)
        n, k = (ctypes.c_int64(size) for size in w_NK.shape)
        self._call("gm_dense", w_NK, n, k, x_MK, len(x_MK), bias_N, y_MN, _threads())
        return y_MN

    def attend(  # noqa: PLR0917 (attention has that many parts)
        self,
        q_BHD: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        sinks_H: torch.Tensor,
        seen_BK: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """[B, H, D] of one query a head, over k and v [B, N, K, D] of like strides, all bf16."""
        import torch

        q_BHD, sinks_H = q_BHD.contiguous(), sinks_H.contiguous()
        seen = None if seen_BK is None else seen_BK.contiguous()
        out_BHD, (_, groups, keys, size) = torch.empty_like(q_BHD), k.shape
        sizes = (ctypes.c_int64 * 8)(*q_BHD.shape[:2], groups, keys, size, *k.stride()[:3])
        given = (q_BHD, k, v, sinks_H, seen, sizes, float(scaling), out_BHD)
        self._call("gm_attend", *given, _threads())
        return out_BHD

    def activation(
        self, g: torch.Tensor, dh: torch.Tensor | None, alpha: float, limit: float
    ) -> torch.Tensor:
        """The clamped swiglu [..., I] of g [..., 2I], bf16 or fp32; of `dh` that of g [..., 2I]."""
        import torch

        size = g.shape[-1] // 2
        out = torch.empty_like(g) if dh is not None else g.new_empty(*g.shape[:-1], size)
        sizes = map(ctypes.c_int64, (g.numel() // (2 * size), size, g.dtype == torch.float32))
        self._call("gm_activation", g, dh, *sizes, alpha, limit, out, _threads())
        return out

    def read(self, memory: torch.Tensor) -> None:
        """Read all bytes of `memory` (a multiple of 8) once: the bandwidth that there is."""
        size = ctypes.c_int64(memory.numel() * memory.element_size())
        self._call("gm_read", memory, size, _threads())

    def _call(self, name: str, *arguments: Any) -> None:
        getattr(self.library, name)(*map(_as_c, arguments))


def _as_c(value: Any) -> Any:
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return ctypes.c_float(value)
    return ctypes.c_void_p(value.data_ptr()) if hasattr(value, "data_ptr") else value


def _threads() -> int:
    import torch

    return torch.get_num_threads()


PLAIN = Plain()


@cache
def native() -> tuple[Native | None, str]:
    """(the C++ library, why there is none)."""
    import torch  # noqa: F401 (its OpenMP runtime must be there first)

    if not LIBRARY.exists():
        return None, "no compiled library: install a C++ compiler, then the package again"
    try:
        library = ctypes.CDLL(str(LIBRARY))
        if library.gm_version() != VERSION:
            return None, "the compiled library is older than the package: install it again"
    except (OSError, AttributeError) as error:
        return None, f"the compiled library cannot be loaded ({error}): install it again"
    return Native(library), ""


def backend_for(x: torch.Tensor, w: Packed) -> Plain | Native | Gpu:
    """What multiplies `x` by `w`; plain torch where nothing else does."""
    if not (w.blocks.is_contiguous() and w.scales.is_contiguous()):
        return PLAIN
    if x.device.type == "cuda":
        return _for_cuda(x)
    return _for_cpu(x, w)


def _for_cuda(x: torch.Tensor) -> Plain | Gpu:
    import torch

    takes = x.dtype in {torch.bfloat16, torch.float32}
    return (gpu(x.device)[0] if takes else None) or PLAIN


def _for_cpu(x: torch.Tensor, w: Packed) -> Plain | Native:
    import torch

    takes = x.device.type == "cpu" and x.dtype == torch.bfloat16 and w.shape[1] % 16 == 0
    return (native()[0] if takes else None) or PLAIN


def describe(device: torch.device | str, dtype: torch.dtype) -> str:
    """Which backend runs packed experts there, and why."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return _describe_cuda(device, dtype)
    if device.type != "cpu":
        return f"torch: there are no kernels for {device.type}"
    if dtype != torch.bfloat16:
        return f"torch: the C++ kernels take bf16, the model is {dtype}"
    library, why = native()
    return library.name if library is not None else f"torch: {why}"


def _describe_cuda(device: torch.device, dtype: torch.dtype) -> str:
    import torch

    if dtype not in {torch.bfloat16, torch.float32}:
        return f"torch: the Triton kernels take bf16 and fp32, the model is {dtype}"
    found, why = gpu(device)
    return f"{found.name} {NOT_RUN}" if found is not None else f"torch: {why}"
