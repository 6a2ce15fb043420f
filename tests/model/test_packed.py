"""Packed experts: every backend against fp64 autograd, and the doors into transformers."""

import copy
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.utils.checkpoint import checkpoint as recomputed
from transformers import AutoConfig, GptOssConfig, GptOssForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

from gptoss_magic.errors import CheckpointError
from gptoss_magic.generation import SamplingSettings
from gptoss_magic.model.activation import Swiglu
from gptoss_magic.model.backends import PLAIN, backend_for, describe, native
from gptoss_magic.model.experts import PackedExperts
from gptoss_magic.model.linear import ResidentLinear
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.mxfp4 import Packed, pack, quantize, unpack, values
from gptoss_magic.model.quantizer import packed_config
from gptoss_magic.session import Session
from gptoss_magic.testing import tiny_checkpoint, tiny_tokenizer
from gptoss_magic.turns.status import status

KERNELS = ("amx-bf16", "avx512-bf16", "avx2", "generic")


def quiet(done, total, note):
    """A progress that shows nothing."""


@pytest.fixture(params=["torch", *KERNELS])
def backend(request):
    if request.param == "torch":
        yield PLAIN
        return
    library, why = native()
    if library is None:
        pytest.skip(why)
    if not library.select(request.param):
        pytest.skip(f"this processor has no {request.param}")
    yield library
    library.select("")


def random_packed(experts, rows, columns, seed=0):
    draw = torch.Generator().manual_seed(seed)
    blocks = torch.randint(
        0, 256, (experts, rows, columns // 32, 16), dtype=torch.uint8, generator=draw
    )
    scales = torch.randint(
        115, 124, (experts, rows, columns // 32), dtype=torch.uint8, generator=draw
    )
    return Packed(blocks, scales)


def offsets_of(counts):
    return torch.tensor([0, *torch.tensor(counts).cumsum(0)], dtype=torch.int32)


def test_all_pairs_of_bytes_round_trip():
    first, second = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    blocks = torch.stack([first, second], -1).to(torch.uint8).reshape(-1, 1, 2).repeat(1, 1, 8)
    codes = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2)
    for scale in (2, 127, 252):
        scales = torch.full(blocks.shape[:2], scale, dtype=torch.uint8)
        want = values()[codes.long()].flatten(1) * 2.0 ** (scale - 127)
        for dtype in (torch.float32, torch.bfloat16):
            assert torch.equal(unpack(blocks, scales, dtype).float(), want)
        again = pack(codes.flatten(1), torch.full(blocks.shape[:2], scale - 127))
        assert torch.equal(again[0], blocks)
        assert torch.equal(again[1], scales)
        library = native()[0]
        if library is not None:
            out = torch.empty(want.shape, dtype=torch.bfloat16)
            library._call("gm_unpack", blocks, scales, len(blocks), 32, out, 2)  # noqa: SLF001
            # K is 32: a row is one block
            assert torch.equal(out.float(), want)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(-100, 100))
def test_quantize_keeps_what_is_mxfp4_already(seed, shift):
    draw = torch.Generator().manual_seed(seed)
    weight = values()[torch.randint(0, 16, (3, 64), generator=draw)] * 2.0**shift
    assert torch.equal(unpack(*quantize(weight)), weight)


@pytest.mark.parametrize("shape", [(4, 320, 2880), (3, 48, 96), (5, 208, 64)], ids=str)
@pytest.mark.parametrize("counts", [(1, 0, 2, 7, 40), (6, 5, 4, 3, 13), (0, 100, 0, 203, 1)])
def test_forward_and_transposed_against_fp64(backend, shape, counts):
    w, offsets = random_packed(*shape), offsets_of(counts[: shape[0]])
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(int(offsets[-1]), shape[2], generator=draw).bfloat16()
    dy = torch.randn(int(offsets[-1]), shape[1], generator=draw).bfloat16()
    bias = torch.randn(shape[:2], generator=draw).bfloat16()
    for ours, want in (
        (backend.linear(x, offsets, w, bias), PLAIN.linear(x.double(), offsets, w, bias)),
        (backend.transposed(dy, offsets, w), PLAIN.transposed(dy.double(), offsets, w)),
    ):
        assert ours.dtype == torch.bfloat16
        assert (ours.double() - want).abs().max() < 0.006 * want.abs().max()


def test_plain_is_an_independent_matmul():
    w, offsets = random_packed(3, 48, 96), offsets_of((2, 0, 5))
    x = torch.randn(7, 96, dtype=torch.float64)
    dense = unpack(w.blocks, w.scales).double()
    expert = [0, 0, 2, 2, 2, 2, 2]
    want = torch.stack([dense[e] @ row for e, row in zip(expert, x, strict=True)])
    assert torch.allclose(PLAIN.linear(x, offsets, w, None), want)


@pytest.mark.parametrize("backend", KERNELS, indirect=True)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8])
def test_dense_rows(backend, rows):
    x, w = torch.randn(rows, 320).bfloat16(), torch.randn(301, 320).bfloat16()
    bias = torch.randn(301).bfloat16()
    for added in (None, bias):
        want = x.double() @ w.double().T + (0 if added is None else added.double())
        far = (backend.dense(x, w, added).double() - want).abs()
        assert (far <= 2**-8 * want.abs() + 1e-4 * want.abs().max()).all()


def both_experts(dtype):
    """(packed experts, transformers' own experts in fp64 with the very same values)."""
    config = GptOssConfig(
        hidden_size=64, intermediate_size=96, num_local_experts=6, num_experts_per_tok=2
    )
    config._experts_implementation = "eager"  # noqa: SLF001
    packed, plain = PackedExperts(config, "cpu"), GptOssExperts(config).double()
    for name, shape in (("gate_up_proj", (6, 192, 64)), ("down_proj", (6, 64, 96))):
        w = random_packed(*shape)
        bias = (torch.randn(shape[:2]) * 2).bfloat16()
        getattr(packed, f"{name}_blocks").copy_(w.blocks)
        getattr(packed, f"{name}_scales").copy_(w.scales)
        getattr(packed, f"{name}_bias").data = bias.to(dtype)
        getattr(plain, name).data = unpack(w.blocks, w.scales).double().transpose(1, 2)
        getattr(plain, f"{name}_bias").data = bias.double()
    return packed, plain


@pytest.mark.parametrize("grouping", ["plain", "checkpointed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_against_transformers_in_fp64(backend, dtype, grouping):
    torch.manual_seed(0)
    packed, plain = both_experts(dtype)
    x = (3 * torch.randn(40, 64)).to(dtype).requires_grad_()
    weights = torch.rand(40, 2).to(dtype).requires_grad_()
    ids = torch.stack([torch.randperm(6)[:2] for _ in range(40)])
    packed.gate_up_proj_bias.requires_grad_()
    packed.down_proj_bias.requires_grad_()
    run = (
        (lambda *a: recomputed(packed, *a, use_reentrant=False)) if grouping != "plain" else packed
    )
    x64, w64 = (t.detach().double().requires_grad_() for t in (x, weights))
    push = torch.randn(40, 64)
    ours, want = run(x, ids, weights), plain(x64, ids, w64)
    (ours.float() * push).sum().backward()
    (want * push).sum().backward()
    limit = 1e-4 if dtype == torch.float32 else 0.03
    for a, b in (
        (ours, want),
        (x.grad, x64.grad),
        (weights.grad, w64.grad),
        (packed.gate_up_proj_bias.grad, plain.gate_up_proj_bias.grad),
        (packed.down_proj_bias.grad, plain.down_proj_bias.grad),
    ):
        assert (a.double() - b).norm() < limit * b.norm()


def test_a_router_alone_gets_its_gradient(backend):
    packed, plain = both_experts(torch.bfloat16)
    x, ids = torch.randn(9, 64).bfloat16(), torch.arange(18).reshape(9, 2) % 6
    weights = torch.rand(9, 2).requires_grad_()
    w64 = weights.detach().double().requires_grad_()
    packed(x, ids, weights).sum().backward()
    plain(x.double(), ids, w64).sum().backward()
    assert (weights.grad - w64.grad).norm() < 0.03 * w64.grad.norm()


def test_inference_is_the_training_forward(backend):
    packed, _ = both_experts(torch.bfloat16)
    x, ids = torch.randn(9, 64).bfloat16(), torch.randint(0, 6, (9, 2))
    weights = torch.rand(9, 2)
    with torch.no_grad():
        fast = packed(x, ids, weights).float()
    slow = packed(x.clone().requires_grad_(), ids, weights).float()
    assert (fast - slow).norm() < 0.01 * slow.norm()


@pytest.mark.parametrize("backend", KERNELS, indirect=True)
@pytest.mark.parametrize("tokens", [1, 3, 8])
def test_bf16_experts_at_once_against_transformers_in_fp64(backend, tokens):
    _, plain = both_experts(torch.bfloat16)
    x, weights = torch.randn(tokens, 64).bfloat16(), torch.rand(tokens, 2)
    ids = torch.stack([torch.randperm(6)[:2] for _ in range(tokens)])
    parts = [
        (getattr(plain, name).mT.bfloat16(), getattr(plain, f"{name}_bias").bfloat16())
        for name in ("gate_up_proj", "down_proj")
    ]
    assert torch.equal(parts[0][0].double(), plain.gate_up_proj.mT)
    fast = backend.moe_dense(x, ids, weights, *parts, plain.alpha, plain.limit)
    with torch.no_grad():
        exact = plain(x.double(), ids, weights.double())
    assert (fast.double() - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize("backend", KERNELS, indirect=True)
@pytest.mark.parametrize("rows", [5, 16, 70])
def test_a_token_has_the_same_bits_alone_and_among_others(backend, rows):
    w, x = torch.randn(rows, 96).bfloat16(), torch.randn(18, 96).bfloat16()
    alone = torch.cat([backend.dense(x[t : t + 1], w, None) for t in range(len(x))])
    for tokens in range(1, len(x) + 1):
        assert torch.equal(backend.dense(x[:tokens], w, None), alone[:tokens])


def test_swiglu_gradient():
    x = (8 * torch.randn(5, 32, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: Swiglu.apply(t, 1.702, 7.0), (x,))


@pytest.mark.parametrize("backend", KERNELS, indirect=True)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-7)])
def test_swiglu_by_the_kernels_is_that_of_fp64(backend, dtype, near):
    x = (6 * torch.randn(7, 2 * 45)).to(dtype).requires_grad_()
    with torch.no_grad():
        x[0, :4] = torch.tensor([7.0, 7.0, 7.5, -7.0])  # at the limit, and clamped
    exact = x.detach().double().requires_grad_()
    dh = torch.randn(7, 45).to(dtype)
    ours, want = Swiglu.apply(x, 1.702, 7.0), Swiglu.apply(exact, 1.702, 7.0)
    assert (ours.double() - want).abs().max() <= near * want.abs().max()
    ours.backward(dh)
    want.backward(dh.double())
    assert (x.grad.double() - exact.grad).abs().max() <= near * exact.grad.abs().max()
    assert torch.equal(x.grad == 0, exact.grad == 0)


@pytest.fixture
def packed_path(tmp_path):
    return tiny_checkpoint(tmp_path / "packed", packed=True)


def dequantised(model):
    """transformers' own fp32 model with the values of a packed one."""
    config = copy.deepcopy(model.config)
    del config.quantization_config
    config._attn_implementation = "eager"  # noqa: SLF001
    plain, state = GptOssForCausalLM(config), model.state_dict()
    for key in [k.removesuffix("_blocks") for k in state if k.endswith("_blocks")]:
        weight = unpack(state.pop(f"{key}_blocks"), state.pop(f"{key}_scales"))
        state[key] = weight.transpose(1, 2)
    plain.load_state_dict(state)
    return plain.eval()


def test_logits_are_those_of_the_dequantised_model(packed_path):
    model = load(LoadSettings(str(packed_path)), quiet).model
    plain, ids = dequantised(model), torch.randint(8, 264, (1, 150))
    with torch.no_grad():
        want = plain(ids).logits
        off = (model(ids).logits - want).norm(dim=-1) / want.norm(dim=-1)
        assert off.median() < 0.03  # in bf16 a few tokens are routed to other experts
        assert (model.float()(ids).logits - want).abs().max() < 1e-4


def test_greedy_text_is_that_of_the_dequantised_model(packed_path):
    session = Session()
    session.load(LoadSettings(str(packed_path)))
    resident, engine = session.require(), session.local_engine
    resident.model.float()
    ids = list(range(20, 60))
    made = [d.token_id for d in engine.stream(ids, SamplingSettings(temperature=0, max_tokens=24))]
    want = dequantised(resident.model).generate(
        torch.tensor([ids]), max_new_tokens=len(made), do_sample=False, eos_token_id=None
    )
    assert made == want[0, len(ids) :].tolist()


def test_from_and_save_pretrained_give_the_bytes_back(packed_path, tmp_path):
    config = packed_config(AutoConfig.from_pretrained(packed_path))
    opened = GptOssForCausalLM.from_pretrained(
        packed_path, config=config, dtype="auto", device_map="cpu"
    )
    ours = load(LoadSettings(str(packed_path)), quiet).model
    before = load_file(packed_path / "model.safetensors")
    for number, model in enumerate((opened, ours)):
        out = tmp_path / str(number)
        model.save_pretrained(out)
        after = load_file(out / "model.safetensors")
        assert after.keys() == before.keys()
        for key, value in before.items():
            assert after[key].dtype == value.dtype
            assert torch.equal(after[key], value), key
        again = AutoConfig.from_pretrained(out).quantization_config
        assert again["quant_method"] == "mxfp4"
        with pytest.raises(CheckpointError, match="tokenizer"):
            load(LoadSettings(str(out)), quiet)
        tiny_tokenizer().save_pretrained(out)
        assert load(LoadSettings(str(out)), quiet).model.device.type == "cpu"


def test_status_says_which_backend_runs_and_why(packed_path):
    session = Session()
    session.load(LoadSettings(str(packed_path)))
    assert status(session)["experts"] == describe("cpu", torch.bfloat16)
    assert "bf16" in describe("cpu", torch.float32)
    wide = torch.zeros(1, 64, dtype=torch.bfloat16)
    assert backend_for(wide.float(), random_packed(2, 32, 64)) is PLAIN
    assert backend_for(wide, random_packed(2, 24, 64)) is PLAIN  # 24 rows: no multiple of 16


def test_resident_linears_are_linears(packed_path):
    model = load(LoadSettings(str(packed_path)), quiet).model
    head = model.lm_head
    assert isinstance(head, torch.nn.Linear)
    assert isinstance(head, ResidentLinear)
    for shape in ((1, 1, 64), (2, 3, 64), (1, 40, 64)):
        x = torch.randn(shape).bfloat16()
        with torch.no_grad():
            ours, want = head(x), x.double() @ head.weight.double().T
        assert ours.shape == want.shape
        assert (ours - want).abs().max() < 0.01 * want.abs().max()
    x = torch.randn(1, 1, 64).bfloat16().requires_grad_()
    head(x).sum().backward()
    assert torch.allclose(x.grad[0, 0].float(), head.weight.float().sum(0), rtol=0.02, atol=0.02)


@pytest.mark.slow  # Dynamo takes half a minute
def test_a_compiled_model_is_the_model(packed_path):
    model, ids = load(LoadSettings(str(packed_path)), quiet).model, torch.randint(8, 264, (1, 40))
    compiled = torch.compile(model, backend="eager")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*Dynamo")
        for length in (1, 40):
            with torch.no_grad():
                assert torch.equal(compiled(ids[:, :length]).logits, model(ids[:, :length]).logits)
    grads = []
    for run in (compiled, model):
        x = model.get_input_embeddings()(ids).detach().requires_grad_()
        run(inputs_embeds=x).logits.float().sum().backward()
        grads.append(x.grad.float())
    assert (grads[0] - grads[1]).norm() < 0.02 * grads[1].norm()


def test_gradients_under_autocast(packed_path):
    """fp32 weights in bf16 autocast, as trainers run them, against the same in fp32."""
    model, found = load(LoadSettings(str(packed_path)), quiet).model.float(), []
    ids = torch.randint(8, 264, (1, 60), generator=torch.Generator().manual_seed(0))
    for enabled in (True, False):
        routers = [layer.mlp.router.weight.requires_grad_() for layer in model.model.layers]
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = model(ids, labels=ids).loss
        grads = torch.autograd.grad(loss, routers)
        found.append((loss.detach(), torch.cat([g.flatten() for g in grads])))
    (loss, grad), (want_loss, want) = found
    assert (loss - want_loss).abs() < 0.02 * want_loss
    assert torch.nn.functional.cosine_similarity(grad, want, dim=0) > 0.9
