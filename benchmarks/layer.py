"""One MoE layer of 20b shapes: packed, by our kernels, against transformers' bf16 experts."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

from benchmarks.figure import Figure, compared, interleaved
from benchmarks.make_checkpoint import config_of, layer_tensors

TOKENS = (1, 8, 64, 512)


@cache
def experts() -> tuple[Any, Any]:
    """(PackedExperts, transformers' GptOssExperts in bf16) with the same values."""
    import torch
    from transformers import GptOssConfig
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

    from gptoss_magic.model.experts import PackedExperts
    from gptoss_magic.model.mxfp4 import unpack

    raw = config_of("20b", 1, full_vocabulary=False)
    raw.pop("quantization_config")
    config = GptOssConfig(**raw)
    config._experts_implementation = "grouped_mm"  # noqa: SLF001
    packed = PackedExperts(config)
    prefix = "model.layers.0.mlp.experts."
    state = {
        k.removeprefix(prefix): v for k, v in layer_tensors(raw, 0).items() if k.startswith(prefix)
    }
    packed.load_state_dict(state, assign=True)
    with torch.device("meta"):
        plain = GptOssExperts(config)
    for name in ("gate_up_proj", "down_proj"):
        blocks, scales = state.pop(f"{name}_blocks"), state.pop(f"{name}_scales")
        whole = [
            unpack(b, s, torch.bfloat16).T.contiguous() for b, s in zip(blocks, scales, strict=True)
        ]
        state[name] = torch.stack(whole)
    plain.load_state_dict(state, assign=True)
    return packed.requires_grad_(False), plain.requires_grad_(False)


def routed(tokens: int) -> Callable[[int], tuple[Any, Any, Any]]:
    """Inputs by number; at one token the experts differ from call to call, as in decoding."""
    import torch

    draw = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, 2880, generator=draw).bfloat16()
    weights = torch.softmax(torch.randn(tokens, 4, generator=draw), -1).bfloat16()
    ids = [
        torch.stack([torch.randperm(32, generator=draw)[:4] for _ in range(tokens)])
        for _ in range(8)
    ]
    if tokens == 1:
        ids = [torch.arange(4 * i, 4 * i + 4)[None] for i in range(8)]
    return lambda number: (x, ids[number % 8], weights)


def seconds(module: Any, inputs: Any, numbers: Any, calls: int) -> float:
    """Seconds of one forward, over `calls` of them."""
    import torch

    begin = time.perf_counter()
    with torch.no_grad():
        for _ in range(calls):
            module(*inputs(next(numbers)))
    return (time.perf_counter() - begin) / calls


def layer_figure(tokens: int, repeats: int) -> Figure:
    """Milliseconds of one layer's forward."""
    packed, plain = experts()
    inputs, ours, theirs = routed(tokens), count(), count()
    calls = 16 if tokens == 1 else 2
    a, b = interleaved(
        lambda: 1000 * seconds(packed, inputs, ours, calls),
        lambda: 1000 * seconds(plain, inputs, theirs, calls),
        repeats,
    )
    word = "token" if tokens == 1 else "tokens"
    what = f"experts of one 20b-shaped layer, {tokens} {word}: packed C++ against bf16 grouped_mm"
    name = f"moe_layer_{tokens}_{word}_vs_transformers"
    return compared(name, "ms", a, b, what, less_is_better=True)


def moe_layer_1_token_bandwidth_share(repeats: int) -> Figure:
    """Bytes of four experts a second against plain reading of the same tensors."""
    from gptoss_magic.model.backends import native

    packed, _ = experts()
    library, why = native()
    if library is None:
        raise RuntimeError(why)
    inputs, numbers = routed(1), count()
    read = sum(p.numel() for p in packed.parameters() if p.element_size() == 1)
    used = read * 4 / 32

    def reading() -> float:
        begin = time.perf_counter()
        library.read(packed.gate_up_proj_blocks)
        return packed.gate_up_proj_blocks.numel() / (time.perf_counter() - begin) / 1e9

    ours, peer = interleaved(
        lambda: used / seconds(packed, inputs, numbers, 16) / 1e9, reading, 3 * repeats
    )
    what = "packed bytes a second at one token against a plain read by the same threads"
    name = "moe_layer_1_token_bandwidth_share"
    return compared(name, "GB/s", ours, peer, what, less_is_better=False)


LAYER = {
    f"moe_layer_{n}_token{'' if n == 1 else 's'}_vs_transformers": (
        lambda repeats, n=n: layer_figure(n, repeats)
    )
    for n in TOKENS
}
