"""MXFP4: blocks of 32 values along the last axis, e2m1 codes and one power of two a block.

Source: OCP Microscaling Formats (MX) 1.0; layout as in the gpt-oss checkpoints: two codes a byte,
the low nibble is the even index; scale byte s stands for 2^(s - 127). Legend: R rows, K columns,
G = K / 32 blocks a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 32
BIAS = 127
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


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
    codes = torch.bucketize(scaled.abs(), middles)
    return torch.where(scaled < 0, codes + 8, codes).to(torch.uint8)


def pack(codes_RK: torch.Tensor, exponents_RG: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks [R, G, 16] and scales [R, G], both uint8."""
    import torch

    codes_RGB = codes_RK.reshape(*exponents_RG.shape, BLOCK)
    blocks = codes_RGB[..., 0::2] | (codes_RGB[..., 1::2] << 4)
    return blocks.contiguous(), (exponents_RG + BIAS).to(torch.uint8)


def unpack(blocks_RGB: torch.Tensor, scales_RG: torch.Tensor) -> torch.Tensor:
    """The fp32 values [R, K] that the bytes stand for, exactly; any leading axes."""
    import torch

    table = values()
    pairs = torch.stack([blocks_RGB & 15, blocks_RGB >> 4], dim=-1).flatten(-2)
    scales = torch.exp2(scales_RG.float() - BIAS).unsqueeze(-1)
    return (table[pairs.long()] * scales).flatten(-2)
