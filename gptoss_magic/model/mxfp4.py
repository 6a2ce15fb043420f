"""MXFP4: blocks of 32 values along the last axis, e2m1 codes and one power of two a block.

Source: OCP Microscaling Formats (MX) 1.0; layout as in the gpt-oss checkpoints: two codes a byte,
the low nibble is the even index; scale byte s stands for 2^(s - 127). Legend: R rows, K columns,
G = K / 32 blocks a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 32
BIAS = 127
LEAST_SCALE, LARGEST_SCALE = 2, 252  # beyond, bf16 has no such number
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@dataclass(frozen=True)
class Packed:
    """One projection of all experts: blocks [E, N, K/32, 16] and scales [E, N, K/32], uint8."""

    blocks: torch.Tensor
    scales: torch.Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """(E, N, K)."""
        return self.blocks.shape[0], self.blocks.shape[1], self.blocks.shape[2] * BLOCK

    def expert(self, index: int, dtype: torch.dtype) -> torch.Tensor:
        """W [N, K] of one expert."""
        return unpack(self.blocks[index], self.scales[index], dtype)


def values() -> torch.Tensor:
    """The 16 values that a code stands for, fp32."""
    import torch

    half = torch.tensor(MAGNITUDES)
    return torch.cat([half, -half])


def nearest(scaled: torch.Tensor) -> torch.Tensor:
    """Codes (uint8, same shape) of the nearest values; beyond 6 they saturate."""
    import torch

    magnitudes = torch.tensor(MAGNITUDES)
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    codes = torch.bucketize(scaled.abs().contiguous(), middles)
    return torch.where(scaled < 0, codes + 8, codes).to(torch.uint8)


def pack(codes_RK: torch.Tensor, exponents_RG: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks [R, G, 16] and scales [R, G], both uint8."""
    import torch

    codes_RGB = codes_RK.reshape(*exponents_RG.shape, BLOCK)
    blocks = codes_RGB[..., 0::2] | (codes_RGB[..., 1::2] << 4)
    return blocks.contiguous(), (exponents_RG + BIAS).to(torch.uint8)


def unpack(
    blocks_RGB: torch.Tensor, scales_RG: torch.Tensor, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The values [R, K] that the bytes stand for; any leading axes. fp32, or `dtype`.

    Exact in fp32, and in bf16 for scales that a model can have (see `LEAST_SCALE`).
    """
    import torch

    dtype = dtype or torch.float32
    bytes_ = torch.arange(256, device=blocks_RGB.device)
    pairs = values().to(blocks_RGB.device)[torch.stack([bytes_ & 15, bytes_ >> 4], 1)].to(dtype)
    found = pairs.index_select(0, blocks_RGB.reshape(-1).int()).reshape(*scales_RG.shape, BLOCK)
    scales = torch.exp2(scales_RG.float() - BIAS).to(dtype).unsqueeze(-1)
    return found.mul_(scales).flatten(-2)


def quantize(weight_RK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks and scales of the nearest MXFP4 values; any leading axes, K a multiple of 32.

    Each block's exponent is floor(log2 of its largest magnitude) - 2 (OCP MX 1.0, 6.3), so what
    is MXFP4 already comes back exactly.
    """
    import torch

    blocks = weight_RK.float().reshape(*weight_RK.shape[:-1], -1, BLOCK)
    largest = blocks.abs().amax(-1)
    exponents = torch.frexp(largest).exponent - 1 - 2
    least, most = LEAST_SCALE - BIAS, LARGEST_SCALE - BIAS
    exponents = torch.where(largest > 0, exponents, 0).clamp(least, most)
    codes = nearest(blocks / torch.exp2(exponents.float()).unsqueeze(-1))
    return pack(codes.flatten(-2), exponents)
