"""Parts beside a frozen model against autograd through plain fp32 weights, and the capture."""

import copy

import pytest
import torch

from gptoss_magic.model.kv_cache import KVCache
from gptoss_magic.model.parts import (
    ExpertLora,
    ExpertWeights,
    LinearLora,
    RouterDelta,
    RouterLora,
    SoftPrompt,
)
from gptoss_magic.model.resident import make_resident
from gptoss_magic.model.router import Capture
from gptoss_magic.testing import tiny_model

IDS = torch.randint(8, 264, (1, 40), generator=torch.Generator().manual_seed(1))
EXPERTS = "model.layers.1.mlp.experts"
ROUTER = "model.layers.0.mlp.router"
QUERY = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def models():
    """(resident, transformers' own with the same values)."""
    plain, _ = tiny_model(3)
    ours = copy.deepcopy(plain)
    make_resident(ours)
    ours.requires_grad_(False)
    return ours, plain


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 0.1


def loss(model):
    return model(IDS, labels=IDS, use_cache=False).loss


def test_a_resident_model_is_the_same_model(models):
    ours, plain = models
    torch.testing.assert_close(ours(IDS).logits, plain(IDS).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("projection", ["gate_up_proj", "down_proj"])
@pytest.mark.parametrize("experts", [(0, 3, 5), tuple(range(8))])
def test_expert_lora_equals_adding_to_the_weights(models, projection, experts):
    ours, plain = models
    weight = plain.get_submodule(EXPERTS).get_parameter(projection)
    a, b = randn(len(experts), 3, weight.shape[1]), randn(len(experts), weight.shape[2], 3)
    part = ExpertLora(EXPERTS, projection, experts, (a, b), 2.0)
    part.attach(ours)
    mine = loss(ours)
    mine.backward()
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    delta = torch.zeros_like(weight)
    for i, expert in enumerate(experts):
        delta = delta.index_add(0, torch.tensor([expert]), ((b[i] @ a[i]).T * 2.0)[None])
    name = f"{EXPERTS}.{projection}"
    out = torch.func.functional_call(
        plain, {name: weight.detach() + delta}, (IDS,), {"labels": IDS, "use_cache": False}
    )
    out.loss.backward()
    torch.testing.assert_close(mine, out.loss, atol=1e-5, rtol=1e-5)
    for got, wanted in ((part.a.grad, a.grad), (part.b.grad, b.grad)):
        assert (got - wanted).norm() <= 1e-4 * wanted.norm()


def test_gradients_pass_through_a_branch_to_what_lies_before(models):
    ours, _ = models
    part = ExpertLora(EXPERTS, "gate_up_proj", (1, 2), (randn(2, 3, 64), randn(2, 128, 3)), 1.0)
    taps, rows = ours.get_submodule(EXPERTS).taps, torch.tensor([0, 1, 3, 4, 5, 5, 6, 6, 7])
    part.attach(ours)
    part.double()

    def run(x, y, a, b):
        part._parameters["a"], part._parameters["b"] = a, b  # noqa: SLF001
        return part.beside("gate_up_proj", x, y.clone(), rows)

    given = (
        torch.randn(7, 64, dtype=torch.double, requires_grad=True),
        torch.randn(7, 128, dtype=torch.double, requires_grad=True),
        part.a.detach().clone().requires_grad_(),
        part.b.detach().clone().requires_grad_(),
    )
    assert torch.autograd.gradcheck(run, given)
    assert taps.branches == [part]


def test_router_parts_equal_adding_to_the_router(models):
    ours, plain = models
    router = plain.get_submodule(ROUTER)
    a, b, weight, bias = randn(2, 64), randn(8, 2), randn(8, 64), randn(8)
    removes = [
        RouterLora(ROUTER, a, b, 0.5).attach(ours),
        RouterDelta(ROUTER, weight, bias).attach(ours),
    ]
    before = plain(IDS).logits
    with torch.no_grad():
        router.weight += 0.5 * b @ a + weight
        router.bias += bias
    after = plain(IDS).logits
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(ours(IDS).logits, after, atol=1e-4, rtol=1e-4)
    for remove in removes:
        remove()
    torch.testing.assert_close(ours(IDS).logits, before, atol=1e-4, rtol=1e-4)


def test_linear_lora_equals_adding_to_the_weight(models):
    ours, plain = models
    linear = plain.get_submodule(QUERY)
    part = LinearLora(QUERY, randn(2, 64), randn(64, 2), 3.0)
    remove = part.attach(ours)
    before = plain(IDS).logits
    with torch.no_grad():
        linear.weight += 3.0 * part.b @ part.a
    torch.testing.assert_close(ours(IDS).logits, plain(IDS).logits, atol=1e-4, rtol=1e-4)
    part.scale = 0.0
    torch.testing.assert_close(ours(IDS).logits, before, atol=1e-4, rtol=1e-4)
    part.scale = 1.0
    remove()
    torch.testing.assert_close(ours(IDS).logits, before, atol=1e-4, rtol=1e-4)


def test_own_weights_stand_in_for_one_expert(models):
    ours, plain = models
    module = plain.get_submodule(EXPERTS)
    weights = {
        "gate_up_proj": randn(128, 64),
        "gate_up_proj_bias": randn(128),
        "down_proj": randn(64, 64),
        "down_proj_bias": randn(64),
    }
    part = ExpertWeights(EXPERTS, 4, weights)
    part.attach(ours)
    with torch.no_grad():
        for name in ("gate_up_proj", "down_proj"):
            module.get_parameter(name)[4] = weights[name].T
            module.get_parameter(f"{name}_bias")[4] = weights[f"{name}_bias"]
    torch.testing.assert_close(ours(IDS).logits, plain(IDS).logits, atol=1e-4, rtol=1e-4)


def test_a_soft_prompt_of_real_tokens_is_those_tokens(models):
    ours, plain = models
    embeddings = plain.get_input_embeddings().weight[IDS[0, :5]].detach()
    cache = KVCache(ours.config)
    with torch.no_grad():
        SoftPrompt(embeddings).fill(ours, cache)
        rest = ours(IDS[:, 5:], past_key_values=cache, use_cache=True).logits
        torch.testing.assert_close(rest, plain(IDS).logits[:, 5:], atol=1e-4, rtol=1e-4)


def test_the_capture_sees_what_the_routers_chose(models):
    ours, plain = models
    seen = []
    for layer in plain.model.layers:
        layer.mlp.router.register_forward_hook(lambda _m, _x, out: seen.append(out))
    with torch.no_grad(), Capture(ours) as capture:
        ours(IDS[:, :30])
        ours(IDS[:, 30:])
        ids, weights = capture.take()
        plain(IDS[:, :30])
        plain(IDS[:, 30:])
    assert ids.shape == weights.shape == (40, 2, 2)
    for layer in range(2):
        wanted = torch.cat([out[2] for out in seen[layer::2]])
        assert torch.equal(ids[:, layer], wanted)
        shares = torch.cat([out[1] for out in seen[layer::2]])
        torch.testing.assert_close(weights[:, layer], shares, atol=1e-5, rtol=1e-4)
    ours(IDS)
    assert capture.routers[0].watchers == []


def test_gradients_beside_packed_experts_are_those_of_the_dequantised_model(tmp_path):
    from gptoss_magic.model.load import LoadSettings, load
    from gptoss_magic.testing import tiny_checkpoint
    from tests.model.test_packed import dequantised

    path = tiny_checkpoint(tmp_path / "packed", packed=True)
    ours = load(LoadSettings(model=str(path), device="cpu"), lambda *_: None).model.float()
    plain = dequantised(ours).float()
    parts, state, wanted = [], {}, []
    for projection, width in (("gate_up_proj", 128), ("down_proj", 64)):
        a, b = randn(3, 2, 64), randn(3, width, 2)
        part = ExpertLora(EXPERTS, projection, (1, 4, 6), (a.clone(), b.clone()), 2.0)
        part.attach(ours)
        parts.append(part)
        weight = plain.get_submodule(EXPERTS).get_parameter(projection).detach()
        a, b = a.requires_grad_(), b.requires_grad_()
        delta = torch.zeros_like(weight).index_add(
            0, torch.tensor([1, 4, 6]), (b @ a).transpose(1, 2) * 2.0
        )
        state[f"{EXPERTS}.{projection}"] = weight + delta
        wanted += [a, b]
    loss(ours).backward()
    given = {"labels": IDS, "use_cache": False}
    torch.func.functional_call(plain, state, (IDS,), given).loss.backward()
    got = [p.grad for part in parts for p in (part.a, part.b)]
    for mine, theirs in zip(got, wanted, strict=True):
        assert (mine - theirs.grad).norm() <= 1e-4 * theirs.grad.norm()
