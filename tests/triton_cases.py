"""The Triton backend's errors against fp64, as {case: largest relative error}.

A process of its own, `TRITON_INTERPRET=1 python tests/triton_cases.py`, prints them for Triton's
interpreter on a CPU, in fp32: the interpreter of Triton 3.9 gets bf16 products wrong.
"""

import json

import torch

from gptoss_magic.model import gpu
from gptoss_magic.model.backends import PLAIN
from gptoss_magic.model.mxfp4 import Packed, unpack

SHAPES = {  # experts, outputs, inputs, rows of the first experts
    "decode, 2880 inputs": (3, 48, 2880, (5, 0, 1)),
    "decode, 2880 outputs": (2, 2880, 32, (1, 0)),
    "decode, ragged": (5, 208, 64, (0, 19, 0, 3, 1)),
    "decode, 128 experts": (128, 16, 96, (0,) * 77 + (2, 0, 1)),
    "decode, one expert": (1, 16, 32, (7,)),
    "batch": (3, 80, 160, (45, 0, 20)),
    "prefill": (2, 144, 96, (60, 41)),
    "no rows": (2, 16, 32, ()),
}


def packed_on(device, experts, outputs, inputs):
    draw = torch.Generator().manual_seed(experts + outputs)
    shape = (experts, outputs, inputs // 32)
    blocks = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8, generator=draw)
    scales = torch.randint(115, 124, shape, dtype=torch.uint8, generator=draw)
    return Packed(blocks.to(device), scales.to(device))


def error(ours, want):
    if not want.numel():
        return 0.0 if ours.shape == want.shape else float("inf")
    return float((ours.double() - want).abs().max() / want.abs().max())


def products(device, dtype, experts, outputs, inputs, counts):
    """(error of x·Wᵀ + b, of x·Wᵀ, of dy·W)."""
    w, backend = packed_on(device, experts, outputs, inputs), gpu.Gpu()
    ends = torch.tensor([0, *counts, *[0] * (experts - len(counts))]).cumsum(0)
    offsets, rows = ends.to(device, torch.int32), sum(counts)
    draw = torch.Generator().manual_seed(0)
    x, dy, bias = (
        torch.randn(size, generator=draw).to(device, dtype)
        for size in ((rows, inputs), (rows, outputs), (experts, outputs))
    )
    return (
        error(backend.linear(x, offsets, w, bias), PLAIN.linear(x.double(), offsets, w, bias)),
        error(backend.linear(x, offsets, w, None), PLAIN.linear(x.double(), offsets, w, None)),
        error(backend.transposed(dy, offsets, w), PLAIN.transposed(dy.double(), offsets, w)),
    )


def unpacking(device, dtype):
    """Error of all codes under the least, a middle and the largest scale; 0 where exact."""
    bytes_ = torch.arange(3 * 256, device=device).to(torch.uint8).reshape(3, 16, 1, 16)
    scales = torch.tensor([2, 127, 252], dtype=torch.uint8, device=device)
    w = Packed(bytes_, scales[:, None, None].expand(3, 16, 1).contiguous())
    experts = torch.tensor([2, 0, 1], dtype=torch.int32, device=device)
    ours = gpu.unpack_experts(w, experts, dtype)
    return 0.0 if torch.equal(ours, unpack(w.blocks, w.scales, dtype)[[2, 0, 1]]) else 1.0


def errors(device, dtype):
    found = {name: max(products(device, dtype, *shape)) for name, shape in SHAPES.items()}
    many = (2, 32, 64, (gpu.MANY_ROWS, gpu.MANY_ROWS + 1))
    found["many rows, bf16"] = max(products(device, torch.bfloat16, *many))
    for kind in (torch.float32, torch.bfloat16):
        found[f"unpacking, {kind}"] = unpacking(device, kind)
    return found


if __name__ == "__main__":
    trial = gpu.trial(torch.device("cpu"), torch.float32)
    print(json.dumps({"errors": errors("cpu", torch.float32), "trial": trial}))
