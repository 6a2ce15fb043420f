"""Plans of tuning runs: counts against real parts, activations against what autograd saves."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from gptoss_magic.errors import DoesNotFit, InputError
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.resident import make_resident
from gptoss_magic.records import Example
from gptoss_magic.testing import tiny_checkpoint, tiny_model
from gptoss_magic.tuning.counts import (
    activation_bytes_per_token,
    num_parameters,
    num_reached_layers,
)
from gptoss_magic.tuning.dry_run import dry_run, dry_run_table
from gptoss_magic.tuning.loss import sequence_loss
from gptoss_magic.tuning.methods import METHODS, make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context
from gptoss_magic.tuning.methods.experts import num_trained_experts
from gptoss_magic.tuning.plan import (
    defaults,
    make_tune_plan,
    memory_of,
    must_recompute,
    require_fit,
    would_fit,
)
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.shapes import known_config, packed_bytes

DOCS = Path(__file__).parents[2] / "docs" / "tuning-memory.md"


def example(length, vocabulary=264):
    draw = torch.Generator().manual_seed(length)
    ids = torch.randint(8, vocabulary, (length,), generator=draw).tolist()
    return Example(tuple(ids), tuple(n >= length - 2 for n in range(length)))


def settings(name, **given):
    small = {"rank": 3, "num_virtual": 4} | given
    has = {field.name for field in fields(METHODS[name].settings)}
    return settings_of(name, **{option: value for option, value in small.items() if option in has})


def counted(method, hot):
    model, _ = tiny_model(3)
    make_resident(model)
    parts = make_parts(model, Context(method, hot=hot, sequences=[[example(24)]]))
    return sum(part.num_parameters for part in parts), model.config.to_dict()


@pytest.mark.parametrize("name", METHODS)
def test_the_count_is_that_of_the_parts(name):
    wanted, config = counted(settings(name), [[5, 2, 1], [3]])
    assert num_parameters(config, settings(name), [3, 1]) == wanted


@pytest.mark.parametrize(
    "given",
    [
        {"num_experts": 2},
        {"choice": "all"},
        {"choice": "all", "num_layers": 1},
        {"choice": "random", "coverage": 0.3},
    ],
)
def test_the_count_without_a_measured_routing(given):
    method = settings("experts", **given)
    most = method.num_experts or 3  # 0.3 of 8 experts, rounded up
    wanted, config = counted(method, [list(range(most))] * 2)
    assert num_parameters(config, method) == wanted
    two = settings("experts-full", num_experts=2)
    wanted, _ = counted(two, [[1, 2], [3, 4]])
    assert num_parameters(config, two) == wanted


def test_num_trained_experts_by_layer():
    config = known_config("20b")
    assert num_reached_layers(config, settings("last-layers")) == 2
    assert num_trained_experts(config, settings("experts", num_layers=1), [5] * 24)[-2:] == [0, 5]


def test_the_weights_of_gpt_oss():
    assert packed_bytes(known_config("120b")) / 1e9 == pytest.approx(65.2, abs=0.1)
    assert packed_bytes(known_config("20b")) / 1e9 == pytest.approx(13.8, abs=0.1)
    with pytest.raises(InputError, match="120b and 20b"):
        known_config("7b")


def test_packed_bytes_are_those_of_a_checkpoint(tmp_path):
    from gptoss_magic.model.checkpoint import read_checkpoint

    checkpoint = read_checkpoint("tiny", tiny_checkpoint(tmp_path / "tiny", packed=True))
    assert packed_bytes(checkpoint.config) == checkpoint.num_bytes


def saved_bytes(model, method, length):
    """Bytes of the distinct storages that autograd saves of one sequence, weights aside."""
    layers = model.config.num_hidden_layers
    row = [example(length)]
    parts = make_parts(model, Context(method, hot=[[0, 1, 2]] * layers, sequences=[row]))
    removes = [part.attach(model) for part in parts]
    weights = [*model.parameters(), *(p for part in parts for p in part.parameters())]
    own = {p.untyped_storage().data_ptr() for p in weights}
    alive, sizes = [], {}

    def save(tensor):
        alive.append(tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    soft = next((part for part in parts if hasattr(part, "fill")), None)
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        sequence_loss(model, row, soft)
    for remove in removes:
        remove()
    return sum(sizes.values())


WIDE = {
    "num_hidden_layers": 5,
    "hidden_size": 256,
    "intermediate_size": 192,
    "num_attention_heads": 8,
    "head_dim": 32,
    "num_experts_per_tok": 4,
}


@pytest.mark.parametrize("name", [name for name in METHODS if name != "experts-full"])
def test_activations_are_what_autograd_saves(tmp_path, name):
    path = tiny_checkpoint(tmp_path / "wide", packed=True, **WIDE)
    model = load(LoadSettings(model=str(path), device="cpu"), lambda *_: None).model
    model.requires_grad_(False)
    method = settings(name, num_layers=2 if "layers" in name else 0, num_heads=24)
    # the difference takes away what does not grow with the texts
    got = (saved_bytes(model, method, 96) - saved_bytes(model, method, 32)) / 64
    wanted = activation_bytes_per_token(model.config.to_dict(), method)
    least = 0.8 if name == "router" else 0.9  # the first router stands behind its layer's attention
    assert least * wanted < got < 1.1 * wanted


def plan(name="experts", **given):
    config = known_config("20b")
    method = given.pop("method", settings_of(name=name))
    asked = {
        "model": "openai/gpt-oss-20b",
        "weights": packed_bytes(config),
        "method": method,
        "num_params": num_parameters(config, method),
        "what": "LoRA on 37 experts in 12 layers, 1.2 M parameters",
        "sequence_tokens": 1024,
        "num_steps": 60,
        "step_tokens": 1024,
        "device": "cuda",
        "free": 10**10,
        "packed": True,
        "recompute": True,
        "tokens_per_s": 512.0,
        "paged": False,
    }
    return make_tune_plan(config, **(asked | given))


def test_the_table_says_what_is_trained_and_for_how_long():
    lines = plan().table().splitlines()
    assert lines[0] == "trains: LoRA on 37 experts in 12 layers, 1.2 M parameters"
    assert lines[-1] == "about 2 min"
    assert any(line.startswith("weights, loaded") and "13.76 GB" in line for line in lines)
    assert "about" not in plan(tokens_per_s=None).table()


def test_loaded_weights_do_not_count_twice():
    loaded, from_disk = plan(), plan(resident=False)
    assert from_disk.needed - loaded.needed == packed_bytes(known_config("20b"))


def test_each_byte_of_what_is_trained():
    memory, params = plan().memory, num_parameters(known_config("20b"), settings_of())
    assert (memory.adapter, memory.gradients, memory.optimizer) == (
        4 * params,
        4 * params,
        8 * params,
    )
    assert plan(paged=True).memory.optimizer == pytest.approx(2.03 * params, rel=1e-3)
    adalora = plan("adalora")
    assert adalora.memory.optimizer == 16 * adalora.asked.num_params
    assert plan(device="cpu").memory.unpacked == 0 < memory.unpacked


def test_recomputing_keeps_less_and_long_texts_more():
    kept, recomputed = plan(recompute=False), plan()
    assert recomputed.memory.activations < kept.memory.activations / 5
    assert plan(sequence_tokens=2048).memory.activations > 1.5 * recomputed.memory.activations


def test_what_does_not_fit_is_refused_with_what_would():
    require_fit(plan())
    large = settings_of(choice="all", rank=32)
    short = plan(method=large, free=3 * 10**9)
    assert not short.fits
    with pytest.raises(DoesNotFit, match=r"needs .* GB on cuda but 3.00 GB.*would fit"):
        require_fit(short)
    rank = next(int(a.split()[1]) for a in would_fit(short) if a.startswith("--rank"))
    again = plan(method=replace(large, rank=rank), free=3 * 10**9)
    assert again.fits
    assert not plan(method=replace(large, rank=2 * rank), free=3 * 10**9).fits
    long = plan("lora", sequence_tokens=65_536, free=3 * 10**9)
    tokens = next(int(a.split()[1]) for a in would_fit(long) if a.startswith("--max-tokens"))
    assert plan("lora", sequence_tokens=tokens, free=3 * 10**9).fits


def test_another_method_is_offered_where_no_smaller_setting_fits():
    full = plan("experts-full", method=settings_of(name="experts-full", num_experts=2))
    free = full.needed - 15 * full.asked.num_params
    assert [a for a in would_fit(replace(full, free=free)) if a.startswith("--method")]
    assert would_fit(replace(full, free=0)) == []
    with pytest.raises(DoesNotFit, match="a smaller model or a larger device"):
        require_fit(replace(full, free=0))


def test_a_dry_run_of_120b_recomputes_and_fits():
    found = dry_run("120b", 80 * 10**9, settings_of(), TrainSettings())
    assert found.fits
    assert found.asked.recompute
    assert not found.resident
    assert found.needed == sum(vars(memory_of(found.asked, found.memory.weights)).values())
    prefix = dry_run("120b", 80 * 10**9, settings_of(name="prefix"), TrainSettings())
    assert not prefix.asked.recompute
    assert must_recompute(known_config("120b"), settings_of(), 1024, 10**9)


def test_the_docs_have_the_table():
    assert dry_run_table() in DOCS.read_text()


def test_defaults_go_by_method_size_and_rows():
    built_in = known_config("20b") | {"hidden_size": 576, "num_local_experts": 4}
    rates = {
        (name, size): defaults(settings_of(name=name), config, 500).learning_rate
        for name in METHODS
        for size, config in (
            ("120b", known_config("120b")),
            ("20b", known_config("20b")),
            ("built-in", built_in),
        )
    }
    assert [rates["experts", size] for size in ("120b", "20b", "built-in")] == [3e-4, 2e-4, 1e-3]
    assert rates["experts-full", "120b"] == 2e-5
    assert rates["router", "built-in"] == 1e-3
    assert rates["prompt", "20b"] == rates["prompt", "built-in"] == 1e-2
    assert defaults(settings_of(), built_in, 500).epochs == 1
    assert defaults(settings_of(), built_in, 40).epochs == 3
