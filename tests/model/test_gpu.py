"""The GPU backend: its kernels interpreted, compiled for GPUs that need not be there, and run."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
import triton_cases
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.model import gpu
from gptoss_magic.model.backends import PLAIN, backend_for, describe
from gptoss_magic.model.mxfp4 import unpack
from gptoss_magic.model.taps import grouped

ROOT = Path(__file__).parents[2]
TILES = {"decode": gpu.DECODE, "batch": gpu.BATCH, "prefill": gpu.PREFILL}
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is for Linux")
LEAST_SHARED = 99 * 1024  # bytes that a block may have on the GPUs that have least (sm_86, sm_120)


@pytest.fixture(scope="module")
def interpreted():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "tests/triton_cases.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@needs_triton
def test_interpreted_kernels_against_fp64(interpreted):
    found = interpreted["errors"]
    assert found.pop("many rows, bf16") < 0.006
    for kind in ("torch.float32", "torch.bfloat16"):
        assert found.pop(f"unpacking, {kind}") == 0
    assert found.keys() == triton_cases.SHAPES.keys()
    assert max(found.values()) < 2e-6, found


@needs_triton
def test_the_trial_passes_where_triton_runs_and_names_why_it_does_not(interpreted):
    assert interpreted["trial"] == ""
    why = gpu.trial(torch.device("cpu"), torch.float32)
    assert why.startswith("Triton does not run here (")
    assert "\n" not in why


def signature(kernel, dtype, constants):
    """Types of the kernel's arguments as at a launch; `x`, `dy` and results have `dtype`."""
    types = {"blocks": "*u8", "scales": "*u8", "offsets_E": "*i32", "experts_X": "*i32"}
    types |= {"bias_EN": "*bf16"} | dict.fromkeys(("num_experts", "N", "K"), "i32")
    types |= dict.fromkeys(constants, "constexpr")
    return {name: types.get(name, f"*{dtype}") for name in kernel.arg_names}


def compiled(kernel, capability, dtype, options):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    constants = {k: v for k, v in options.items() if k in kernel.arg_names}
    types = signature(kernel, dtype, constants)
    sixteen = {
        (place,): [["tt.divisibility", 16]]
        for place, (name, type_) in enumerate(types.items())
        if type_[0] == "*" or name in {"N", "K"}
    }
    source = ASTSource(kernel, signature=types, constexprs=constants, attrs=sixteen)
    rest = {k: v for k, v in options.items() if k not in constants}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=rest)


GENERATIONS, DTYPES = (80, 90, 120), {"bf16": 128, "fp32": 32}  # a dtype's number of experts
SLOW = pytest.mark.slow  # the same kernels for one more generation of cards, or in fp32


@needs_triton
@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        pytest.param(*pair, marks=[SLOW] * (pair != (90, "bf16")))
        for pair in product(GENERATIONS, DTYPES)
    ],
)
def test_kernels_compile_without_a_gpu(capability, dtype, monkeypatch, request):
    from gptoss_magic.model import triton_kernels as kernels

    # kept by their source, target and compiler: what did not change is not compiled again
    monkeypatch.setenv("TRITON_CACHE_DIR", str(request.config.cache.mkdir("triton")))
    wanted = [
        (kernel, tile.options(DTYPES[dtype]))
        for kernel in (kernels.linear_kernel, kernels.transposed_kernel)
        for tile in TILES.values()
    ]
    wanted.append((kernels.linear_kernel, gpu.DECODE.options(32) | {"bias_EN": None}))
    wanted.append((kernels.unpack_kernel, gpu.UNPACK))
    for kernel, options in wanted:
        made = compiled(kernel, capability, dtype, options)
        assert f".target sm_{capability}" in made.asm["ptx"]
        assert len(made.asm["cubin"]) > 1000
        assert made.metadata.shared <= LEAST_SHARED, (kernel.__name__, dtype, options)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=128), st.sampled_from(list(TILES)))
def test_the_grid_suffices_for_any_routing(counts, name):
    tile = TILES[name]
    needed = sum(-(-count // tile.rows) for count in counts)
    assert needed <= tile.grid(sum(counts), len(counts), 2880)[0]
    assert tile.grid(sum(counts), len(counts), 2880)[1] * tile.columns >= 2880


def test_tiles_grow_with_the_rows_of_an_expert():
    chosen = [gpu.tile_for(rows, 32) for rows in (4, 256, 257, 1024, 1025, 10**6)]
    assert chosen == [gpu.DECODE] * 2 + [gpu.BATCH] * 2 + [gpu.PREFILL] * 2


class Unpacking:
    """mxfp4's own unpacking, which remembers the experts asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, w, experts, dtype):
        self.asked.append(experts.tolist())
        return unpack(w.blocks[experts], w.scales[experts], dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_selective_unpacking_against_fp64_in_bounded_groups(dtype):
    draw = torch.Generator().manual_seed(0)
    w = triton_cases.packed_on("cpu", 21, 48, 2880)
    counts = torch.randint(1, 9, (21,), generator=draw)
    counts[[0, 5, 6, 20]] = 0
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)]).int()
    x = torch.randn(int(counts.sum()), 2880, generator=draw).to(dtype)
    dy = torch.randn(int(counts.sum()), 48, generator=draw).to(dtype)
    bias = torch.randn(21, 48, generator=draw).bfloat16()
    routed = [e for e in range(21) if counts[e]]
    limit = 0.006 if dtype == torch.bfloat16 else 2e-6
    for run, given_, want in (
        (gpu.grouped_linear, (x, offsets, w, bias), PLAIN.linear(x.double(), offsets, w, bias)),
        (gpu.grouped_linear, (x, offsets, w, None), PLAIN.linear(x.double(), offsets, w, None)),
        (gpu.grouped_transposed, (dy, offsets, w), PLAIN.transposed(dy.double(), offsets, w)),
    ):
        unpacking = Unpacking()
        assert triton_cases.error(run(*given_, unpacking), want) < limit
        assert [e for group in unpacking.asked for e in group] == routed
        assert max(map(len, unpacking.asked)) == gpu.MOST_UNPACKED


def test_why_a_gpu_is_not_used():
    assert gpu.why_not((8, 0)) == gpu.why_not((12, 0)) == ""
    assert "8.0" in gpu.why_not((7, 5))
    assert "7.5" in gpu.why_not((7, 5))
    assert describe("meta", torch.bfloat16).startswith("torch: ")
    assert "bf16 and fp32" in describe("cuda", torch.float16)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40).map(lambda a: a[: len(a) // 2 * 2]))
def test_routes_are_sorted_by_expert_and_keep_their_order(routes):
    order, offsets = grouped(torch.tensor(routes).reshape(-1, 2), 8)
    assert offsets.dtype == torch.int32
    want = [[i for i, e in enumerate(routes) if e == expert] for expert in range(8)]
    assert [order[a:b].tolist() for a, b in pairwise(offsets.tolist())] == want


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 0.006), (torch.float32, 1e-5)])
def test_kernels_on_a_gpu_against_fp64(dtype, limit):
    found = triton_cases.errors("cuda", dtype)
    assert found.pop("many rows, bf16") < 0.006
    assert max(found.values()) < limit, found


@pytest.mark.gpu
def test_a_decode_step_waits_for_nothing_and_can_be_a_cuda_graph():
    from transformers import GptOssConfig

    from gptoss_magic.model.experts import PackedExperts

    config = GptOssConfig(hidden_size=2880, intermediate_size=2880, num_local_experts=32)
    packed = PackedExperts(config, "cuda").requires_grad_(False)
    for name, size in (("gate_up_proj", 5760), ("down_proj", 2880)):
        w = triton_cases.packed_on("cuda", 32, size, 2880)
        getattr(packed, f"{name}_blocks").copy_(w.blocks)
        getattr(packed, f"{name}_scales").copy_(w.scales)
        getattr(packed, f"{name}_bias").zero_()
    x = torch.randn(1, 2880, device="cuda").bfloat16()
    ids, weights = torch.arange(4, device="cuda")[None], torch.full((1, 4), 0.25, device="cuda")
    assert isinstance(backend_for(x, packed.packed("down_proj")[0]), gpu.Gpu)
    with torch.no_grad():
        want = packed(x, ids, weights)
        torch.cuda.set_sync_debug_mode("error")
        try:
            packed(x, ids, weights)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = packed(x, ids, weights)
        other = packed(x, ids + 9, weights)
        ids += 9
        graph.replay()
    assert torch.equal(made, other)
    assert not torch.equal(made, want)
