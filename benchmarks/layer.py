"""One MoE layer of true shapes: packed, by our kernels, against transformers and ggml."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from benchmarks import ggml, llama
from benchmarks.figure import Figure, against_fastest, compared, interleaved
from benchmarks.make_checkpoint import SHAPES, config_of, layer_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENS = (1, 8, 64, 512)
# transformers' other implementations copy or loop, which pays off for few tokens at most
FEW, MANY = ("grouped_mm", "batched_mm", "eager"), ("grouped_mm",)
LARGEST_ERROR = 0.05  # ggml rounds the activations to 8 bits
held: dict[str, tuple[Any, Any]] = {}


def experts(like: str) -> tuple[Any, Any]:
    """(PackedExperts, transformers' GptOssExperts in bf16) with the same values; one pair is held.

    Shapes of 120b take 8 GB.
    """
    if like not in held:
        held.clear()
        held[like] = made_experts(like)
    return held[like]


def made_experts(like: str) -> tuple[Any, Any]:
    import torch
    from transformers import GptOssConfig
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

    from gptoss_magic.model.experts import PackedExperts

    raw = config_of(like, 1, full_vocabulary=False)
    raw.pop("quantization_config")
    config = GptOssConfig(**raw)
    packed = PackedExperts(config)
    prefix = "model.layers.0.mlp.experts."
    state = {
        k.removeprefix(prefix): v for k, v in layer_tensors(raw, 0).items() if k.startswith(prefix)
    }
    packed.load_state_dict(state, assign=True)
    with torch.device("meta"):
        plain = GptOssExperts(config)
    for name in ("gate_up_proj", "down_proj"):
        state[name] = unpacked(state.pop(f"{name}_blocks"), state.pop(f"{name}_scales"))
    plain.load_state_dict(state, assign=True)
    return packed.requires_grad_(False), plain.requires_grad_(False)


def unpacked(blocks: Any, scales: Any) -> Any:
    """bf16 [E, K, N], as transformers has it, an expert at a time."""
    import torch

    from gptoss_magic.model.mxfp4 import unpack

    num_experts, rows, columns = scales.shape
    whole = torch.empty(num_experts, 32 * columns, rows, dtype=torch.bfloat16)
    for matrix, b, s in zip(whole, blocks, scales, strict=True):
        matrix.copy_(unpack(b, s, torch.bfloat16).T)
    return whole


def routings(tokens: int, num_experts: int) -> tuple[Any, Any, list[Any]]:
    """(x, weights, ids by call); at one token each call has other experts, as in decoding."""
    import torch

    draw = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, 2880, generator=draw).bfloat16()
    weights = torch.softmax(torch.randn(tokens, 4, generator=draw), -1).bfloat16()
    if tokens == 1:
        return x, weights, list(torch.arange(num_experts).reshape(-1, 1, 4))
    ids = [
        torch.stack([torch.randperm(num_experts, generator=draw)[:4] for _ in range(tokens)])
        for _ in range(8)
    ]
    return x, weights, ids


def timed(module: Any, tokens: int, num_experts: int) -> Callable[[], float]:
    """A measure: milliseconds of one forward, over a few of them."""
    import torch

    x, weights, ids = routings(tokens, num_experts)
    numbers, calls = count(), num_calls(tokens)

    def measure() -> float:
        begin = time.perf_counter()
        with torch.no_grad():
            for _ in range(calls):
                module(x, ids[next(numbers) % len(ids)], weights)
        return 1000 * (time.perf_counter() - begin) / calls

    return measure


def num_calls(tokens: int) -> int:
    return 16 if tokens == 1 else 2


def by_transformers(tokens: int, like: str) -> dict[str, Callable[[], float]]:
    """A measure of each of transformers' implementations."""
    _, plain = experts(like)

    def of(implementation: str) -> Callable[[], float]:
        measure = timed(plain, tokens, SHAPES[like][1])

        def measured() -> float:
            plain.config._experts_implementation = implementation  # noqa: SLF001
            return measure()

        return measured

    return {name: of(name) for name in (FEW if tokens <= 8 else MANY)}


@contextmanager
def without_compiled_kernels() -> Iterator[None]:
    """As on a machine that had no C++ compiler."""
    from gptoss_magic.model import backends

    library = backends.LIBRARY
    try:
        backends.LIBRARY = library.with_name("none")
        backends.native.cache_clear()
        yield
    finally:
        backends.LIBRARY = library
        backends.native.cache_clear()


def in_words(tokens: int) -> str:
    return f"{tokens} token{'' if tokens == 1 else 's'}"


def name_of(tokens: int, rest: str) -> str:
    return f"moe_layer_{in_words(tokens).replace(' ', '_')}_{rest}"


def vs_transformers(tokens: int, repeats: int, like: str, *, compiled: bool = True) -> Figure:
    """Milliseconds of one layer's forward against the best of transformers."""
    packed, _ = experts(like)
    ours = timed(packed, tokens, SHAPES[like][1])

    def in_plain_torch() -> float:
        with without_compiled_kernels():
            return ours()

    measure = ours if compiled else in_plain_torch
    a, b, peer = against_fastest(measure, by_transformers(tokens, like), repeats)
    how = "C++" if compiled else "plain torch"
    what = f"experts of one {like}-shaped layer, {in_words(tokens)}: packed, {how}; bf16 {peer}"
    rest = ("" if compiled else "plain_torch_") + ("" if like == "20b" else f"{like}_")
    return compared(
        name_of(tokens, f"{rest}vs_transformers"), "ms", a, b, what, less_is_better=True
    )


def vs_ggml(tokens: int, repeats: int) -> Figure:
    """Milliseconds of one layer's forward against ggml on as many threads."""
    import torch

    llama.program("ggml_layer")  # raises where there is none, before the experts are made
    packed, _ = experts("20b")
    x, weights, ids = routings(tokens, 32)
    threads, calls = torch.get_num_threads(), num_calls(tokens)
    with ggml.layers(packed, x, weights, ids, threads) as layers:
        for layer in layers.values():
            check_same(layer.first, packed(x, ids[0], weights).float())
        peers = {kind: partial(layer.ms, calls) for kind, layer in layers.items()}
        a, b, peer = against_fastest(timed(packed, tokens, 32), peers, repeats)
    what = f"experts of one 20b-shaped layer, {in_words(tokens)}, {threads} threads: ggml {peer}"
    return compared(name_of(tokens, "vs_ggml"), "ms", a, b, what, less_is_better=True)


def check_same(theirs: Any, ours: Any) -> None:
    """Raises where the two layers do not compute the same."""
    import torch

    error = float((torch.from_numpy(theirs).view_as(ours) - ours).norm() / ours.norm())
    if error > LARGEST_ERROR:
        raise RuntimeError(f"ggml's result differs from ours by {error:.3f} of its norm")


def moe_layer_1_token_bandwidth_share(repeats: int) -> Figure:
    """Bytes of four experts a second against plain reading of the same tensors."""
    from gptoss_magic.model.backends import native

    packed, _ = experts("20b")
    library, why = native()
    if library is None:
        raise RuntimeError(why)
    used = sum(p.numel() for p in packed.parameters() if p.element_size() == 1) * 4 / 32
    forward_ms = timed(packed, 1, 32)

    def reading() -> float:
        begin = time.perf_counter()
        library.read(packed.gate_up_proj_blocks)
        return packed.gate_up_proj_blocks.numel() / (time.perf_counter() - begin) / 1e9

    ours, peer = interleaved(lambda: used / forward_ms() / 1e6, reading, 3 * repeats)
    what = "packed bytes a second at one token against a plain read by the same threads"
    name = "moe_layer_1_token_bandwidth_share"
    return compared(name, "GB/s", ours, peer, what, less_is_better=False)


LAYER: dict[str, Callable[[int], Figure]] = {
    "moe_layer_1_token_bandwidth_share": moe_layer_1_token_bandwidth_share
} | {
    name_of(tokens, rest): partial(function, tokens)
    for rest, function in (
        ("vs_transformers", partial(vs_transformers, like="20b")),
        ("plain_torch_vs_transformers", partial(vs_transformers, like="20b", compiled=False)),
        ("vs_ggml", vs_ggml),
        ("120b_vs_transformers", partial(vs_transformers, like="120b")),
    )
    for tokens in TOKENS
}
