"""Adapters against plain peft on transformers' own fp32 model, both ways."""

import copy
import warnings

import pytest
import torch
from adapter_cases import (
    EXPERTS,
    IDS,
    expert_lora,
    in_peft,
    logits,
    lora,
    made_by_peft,
    mixed,
    packed_pair,
    plain_pair,
    randn,
    same_parts,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import AdaLoraConfig, PrefixTuningConfig, PromptTuningConfig

from gptoss_magic.adapters import Adapter, Shelf, read_adapter, write_adapter
from gptoss_magic.model.parts import ExpertWeights, Prefix, RouterDelta, SoftPrompt
from gptoss_magic.model.peft_layout import (
    experts_from_peft,
    experts_to_peft,
    prefix_from_peft,
    prefix_to_peft,
)

GATE_UP, DOWN, ROUTER = "mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.router.weight"
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
LORA = {
    "attention": lora(target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
    "ranks": lora(
        target_modules=["q_proj", "o_proj", "lm_head"],
        rank_pattern={"layers.1.self_attn.q_proj": 7, r"layers\.0.*o_proj": 2},
        alpha_pattern={"o_proj": 3},
    ),
    "rslora": lora(target_modules=["v_proj"], use_rslora=True),
    "router": lora(target_parameters=[ROUTER]),
    "gate_up": lora(target_parameters=[GATE_UP], r=3),
    "down": lora(target_parameters=[DOWN], r=1),
    "experts and attention": lora(
        target_modules=["q_proj"], target_parameters=[DOWN, GATE_UP, ROUTER]
    ),
    "some layers": lora(
        target_parameters=[f"layers.1.{DOWN}", f"layers.0.{GATE_UP}"],
        rank_pattern={f"layers.1.{DOWN}": 2},
        alpha_pattern={f"layers.1.{DOWN}": 5},
    ),
    "router in full": lora(target_modules=["q_proj"], modules_to_save=["router"]),
    "router in full and experts": lora(target_parameters=[DOWN], modules_to_save=["router"]),
    "adalora": AdaLoraConfig(init_r=4, target_r=2, total_step=10, target_modules=["q_proj"]),
    "prompt": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "prefix": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
}


@pytest.fixture(autouse=True)
def calm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def plain():
    return plain_pair()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return packed_pair(tmp_path_factory.mktemp("pair"))


def shelf_of(model):
    return Shelf(model, IDS[0].tolist())


@pytest.mark.parametrize("pair", ["plain", "packed"])
@pytest.mark.parametrize("name", LORA)
def test_an_adapter_of_peft_has_pefts_logits(request, tmp_path, pair, name):
    ours, theirs = request.getfixturevalue(pair)
    want = made_by_peft(theirs, tmp_path / "a", copy.deepcopy(LORA[name]))
    shelf = shelf_of(ours)
    base = logits(shelf)
    torch.testing.assert_close(base, theirs(IDS).logits, **CLOSE)
    attached = shelf.attach(tmp_path / "a", "a")
    assert attached.change > 0
    got = logits(shelf, "a")
    assert (got - base).abs().max() > 1e-2
    torch.testing.assert_close(got, want, **CLOSE)
    assert torch.equal(logits(shelf), base)


@pytest.mark.parametrize("pair", ["plain", "packed"])
def test_ours_with_chosen_experts_has_our_logits_in_peft(request, tmp_path, pair):
    ours, theirs = request.getfixturevalue(pair)
    shelf, adapter = shelf_of(ours), mixed()
    shelf.add(adapter)
    path = write_adapter(adapter, ours, tmp_path / "mixed")
    torch.testing.assert_close(logits(shelf, "mixed"), in_peft(theirs, path), **CLOSE)
    again = read_adapter(path, ours, "mixed")
    same_parts(adapter, again)
    assert again.uid == adapter.uid


def test_peft_reads_ours_without_a_warning(plain, tmp_path):
    path = write_adapter(Adapter("x", (expert_lora((1, 6)),)), plain[0], tmp_path / "x")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        in_peft(plain[1], path)
    assert not [str(w.message) for w in said if "eyword" in str(w.message)]


@pytest.mark.parametrize("soft", ["prompt", "prefix"])
def test_ours_in_front_of_the_prompt_has_our_logits_in_peft(plain, tmp_path, soft):
    part = SoftPrompt(randn(4, 64)) if soft == "prompt" else Prefix(randn(2, 2, 2, 4, 16))
    adapter, shelf = Adapter(soft, (part,)), shelf_of(plain[0])
    shelf.add(adapter)
    path = write_adapter(adapter, plain[0], tmp_path / soft)
    torch.testing.assert_close(logits(shelf, soft), in_peft(plain[1], path), **CLOSE)
    same_parts(adapter, read_adapter(path, plain[0]))


def test_routers_alone_pass_through_peft(plain, tmp_path):
    delta = RouterDelta("model.layers.1.mlp.router", randn(8, 64), randn(8, seed=1))
    adapter, shelf = Adapter("router", (delta,)), shelf_of(plain[0])
    shelf.add(adapter)
    path = write_adapter(adapter, plain[0], tmp_path / "router")
    torch.testing.assert_close(logits(shelf, "router"), in_peft(plain[1], path), **CLOSE)
    same_parts(adapter, read_adapter(path, plain[0]))


def test_experts_in_full_come_back_and_peft_finds_nothing_to_load(plain, tmp_path):
    weights = {
        "gate_up_proj": randn(128, 64),
        "gate_up_proj_bias": randn(128),
        "down_proj": randn(64, 64),
        "down_proj_bias": randn(64),
    }
    full = ExpertWeights(EXPERTS.format(0), 4, weights)
    for parts in ((full,), (full, *mixed().parts)):
        adapter = Adapter("full", parts)
        path = write_adapter(adapter, plain[0], tmp_path / "full")
        same_parts(adapter, read_adapter(path, plain[0]))
        with pytest.raises(ValueError, match="adapter_config"):
            in_peft(plain[1], path)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    chosen=st.dictionaries(
        st.tuples(st.integers(0, 1), st.sampled_from(["gate_up_proj", "down_proj"])),
        st.tuples(
            st.sets(st.integers(0, 7), min_size=1),
            st.integers(1, 6),
            st.floats(0.01, 100, allow_nan=False),
        ),
        min_size=1,
    ),
    seed=st.integers(0, 1000),
)
def test_any_choice_of_experts_ranks_and_scalings_round_trips(
    plain, tmp_path_factory, chosen, seed
):
    parts = tuple(
        expert_lora(sorted(experts), rank, layer, projection, seed + n, scaling)
        for n, ((layer, projection), (experts, rank, scaling)) in enumerate(chosen.items())
    )
    adapter, folder = Adapter("any", parts), tmp_path_factory.mktemp("any")
    same_parts(adapter, read_adapter(write_adapter(adapter, plain[0], folder / "a"), plain[0]))


@settings(max_examples=30)
@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 99),
)
def test_pefts_layout_there_and_back(experts, rank, columns, rows, seed):
    a, b = randn(experts, rank, columns, seed=seed), randn(experts, rows, rank, seed=seed + 1)
    flat = experts_to_peft(a, b, range(experts), experts)
    assert all(map(torch.equal, experts_from_peft(*flat, experts), (a, b)))
    whole = torch.einsum(  # as peft composes the change of the weights
        "ore,eri->eoi",
        flat[1].reshape(rows, rank, experts),
        flat[0].reshape(experts, rank, columns),
    )
    torch.testing.assert_close(whole, b @ a)
    states = randn(rank, 2, experts, rows, columns, seed=seed)
    assert torch.equal(prefix_from_peft(prefix_to_peft(states), rank, columns), states)
