"""Triton kernels of our own on packed MXFP4, in the checkpoint's layout.

One program makes one tile: up to ROWS rows of one expert by COLUMNS columns of the result. The
tile's expert is found in the program from the experts' offsets, so that a launch needs nothing
from the host; programs beyond the last tile leave at once.

Legend: S routed rows sorted by expert, E experts, N outputs, K inputs (a multiple of 32), G = K/32.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def expert_rows(offsets_E, tile, num_experts, EXPERTS: tl.constexpr, ROWS: tl.constexpr):
    """(expert, first row, end row) of a tile; the expert is num_experts beyond the last tile.

    EXPERTS: a power of two not below num_experts. Experts without rows have no tile.
    """
    e = tl.arange(0, EXPERTS)
    first_E = tl.load(offsets_E + e, mask=e < num_experts, other=0)
    end_E = tl.load(offsets_E + e + 1, mask=e < num_experts, other=0)
    last_tile_E = tl.cumsum((end_E - first_E + ROWS - 1) // ROWS, 0)
    expert = tl.sum(((last_tile_E <= tile) & (e < num_experts)).to(tl.int32), 0)
    before = tl.max(tl.where(e < expert, last_tile_E, 0), 0)
    own = e == expert
    first = tl.sum(tl.where(own, first_E, 0), 0) + (tile - before) * ROWS
    return expert, first, tl.sum(tl.where(own, end_E, 0), 0)


@triton.jit
def unpacked(
    blocks, scales, expert, n, k, N, K,
    OUTPUTS: tl.constexpr, INPUTS: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """W [OUTPUTS, INPUTS] of an expert from output n and input k on; 0 beyond N and K.

    A code is s|ee|m. Its low bits on top of the bits of 0.5 give f = 0.5, 0.75, 1, 1.5, 2, 3, 4,
    6, and min(f, 2f - 1) turns the first two into 0 and 0.5: exact, and without denormals.
    """
    row = expert.to(tl.int64) * N + (n + tl.arange(0, OUTPUTS))[:, None]
    end = expert.to(tl.int64) * N + N
    byte = (k // 2 + tl.arange(0, INPUTS // 2))[None, :]
    group = (k // 32 + tl.arange(0, INPUTS // 32))[None, :]
    pair = tl.load(blocks + row * (K // 2) + byte, mask=(row < end) & (byte < K // 2), other=0)
    scale = tl.load(scales + row * (K // 32) + group, mask=(row < end) & (group < K // 32), other=0)
    flat = tl.interleave(pair.to(tl.int32), pair.to(tl.int32) >> 4)
    code = tl.reshape(flat, (OUTPUTS, INPUTS // 32, 32))
    f = (((code & 7) << 22) + 0x3F000000).to(tl.float32, bitcast=True)
    signed_power = ((scale.to(tl.int32) << 23)[:, :, None] | ((code & 8) << 28)).to(
        tl.float32, bitcast=True
    )
    return tl.reshape(tl.minimum(f, 2 * f - 1) * signed_power, (OUTPUTS, INPUTS)).to(DTYPE)


@triton.jit
def linear_kernel(
    x_SK, blocks, scales, bias_EN, offsets_E, y_SN, num_experts, N, K,
    EXPERTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """x·Wᵀ + b of each row's expert (b may be None), summed in fp32. Grid: (tiles, N / COLUMNS)."""
    expert, first, end = expert_rows(offsets_E, tl.program_id(0), num_experts, EXPERTS, ROWS)
    if expert >= num_experts:
        return
    row = (first + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    n = tl.program_id(1) * COLUMNS
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for k in range(0, K, DEPTH):
        column = (k + tl.arange(0, DEPTH))[None, :]
        x = tl.load(x_SK + row * K + column, mask=(row < end) & (column < K), other=0.0)
        w = unpacked(blocks, scales, expert, n, k, N, K, COLUMNS, DEPTH, x.dtype)
        total = tl.dot(x, tl.trans(w), total, input_precision="ieee")
    column = (n + tl.arange(0, COLUMNS))[None, :]
    if bias_EN is not None:
        total += tl.load(bias_EN + expert * N + column, mask=column < N, other=0.0).to(tl.float32)
    y = total.to(y_SN.dtype.element_ty)
    tl.store(y_SN + row * N + column, y, mask=(row < end) & (column < N))


@triton.jit
def transposed_kernel(
    dy_SN, blocks, scales, offsets_E, dx_SK, num_experts, N, K,
    EXPERTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """dy·W of each row's expert, summed in fp32. Grid: (tiles, K / COLUMNS)."""  # noqa: D403
    expert, first, end = expert_rows(offsets_E, tl.program_id(0), num_experts, EXPERTS, ROWS)
    if expert >= num_experts:
        return
    row = (first + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    k = tl.program_id(1) * COLUMNS
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for n in range(0, N, DEPTH):
        column = (n + tl.arange(0, DEPTH))[None, :]
        dy = tl.load(dy_SN + row * N + column, mask=(row < end) & (column < N), other=0.0)
        w = unpacked(blocks, scales, expert, n, k, N, K, DEPTH, COLUMNS, dy.dtype)
        total = tl.dot(dy, w, total, input_precision="ieee")
    column = (k + tl.arange(0, COLUMNS))[None, :]
    dx = total.to(dx_SK.dtype.element_ty)
    tl.store(dx_SK + row * K + column, dx, mask=(row < end) & (column < K))


@triton.jit
def unpack_kernel(
    blocks, scales, experts_X, w_XNK, N, K, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr
):
    """W of the experts named, one after another. Grid: (experts, N / OUTPUTS, K / INPUTS)."""
    expert = tl.load(experts_X + tl.program_id(0))
    n, k = tl.program_id(1) * OUTPUTS, tl.program_id(2) * INPUTS
    dtype = w_XNK.dtype.element_ty
    w = unpacked(blocks, scales, expert, n, k, N, K, OUTPUTS, INPUTS, dtype)
    row = (n + tl.arange(0, OUTPUTS)).to(tl.int64)[:, None]
    column = (k + tl.arange(0, INPUTS))[None, :]
    out = w_XNK + tl.program_id(0).to(tl.int64) * N * K
    tl.store(out + row * K + column, w, mask=(row < N) & (column < K))
