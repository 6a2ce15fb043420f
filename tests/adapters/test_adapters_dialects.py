"""Adapters as other tools write them, and configs that name more or less than the file has."""

import json
import shutil
import warnings

import pytest
import torch
from adapter_cases import IDS, logits, lora, made_by_peft, plain_pair, randn
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from split_models import Numbered, PerExpert, with_experts

from gptoss_magic.adapters import Shelf, read_adapter, write_adapter
from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.peft_layout import experts_from_peft

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
BASE, CONFIG, WEIGHTS = "base_model.model.", "adapter_config.json", "adapter_model.safetensors"
GATE_UP, DOWN = "mlp.experts.gate_up_proj", "mlp.experts.down_proj"
Q0 = "model.layers.0.self_attn.q_proj"
APART = {
    "unsloth, all": (Numbered, {"target_modules": r".*(gate_up|down)_projs\.\d+"}),
    "unsloth, some and attention": (
        Numbered,
        {"target_modules": ["q_proj", "gate_up_projs.0", "gate_up_projs.5", "down_projs.7"]},
    ),
    "unsloth, ranks and alphas": (
        Numbered,
        {
            "target_modules": [f"gate_up_projs.{i}" for i in range(8)],
            "rank_pattern": {"gate_up_projs.3": 7, "layers.1.mlp.experts.gate_up_projs.2": 1},
            "alpha_pattern": {"gate_up_projs.4": 50},
        },
    ),
    "unsloth, rslora in one layer": (
        Numbered,
        {
            "target_modules": ["down_projs.1", "gate_up_projs.1"],
            "use_rslora": True,
            "layers_to_transform": [1],
        },
    ),
    "per expert, all": (PerExpert, {"target_modules": ["gate_proj", "up_proj", "down_proj"]}),
    "per expert, gate alone": (PerExpert, {"target_modules": ["gate_proj"]}),
    "per expert, up and down of some": (
        PerExpert,
        {"target_modules": ["2.up_proj", "6.up_proj", "6.down_proj"]},
    ),
    "per expert, ranks and alphas": (
        PerExpert,
        {
            "target_modules": ["gate_proj", "up_proj", "o_proj"],
            "rank_pattern": {"gate_proj": 2, "3.up_proj": 6},
            "alpha_pattern": {"up_proj": 1},
        },
    ),
}


@pytest.fixture(autouse=True)
def calm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def plain():
    return plain_pair()


@pytest.fixture
def shelf(plain):
    return Shelf(plain[0], IDS[0].tolist())


def edit(folder, **fields):
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def rename(folder, change):
    tensors = load_file(folder / WEIGHTS)
    save_file({change(key): tensor for key, tensor in tensors.items()}, folder / WEIGHTS)


def keep(folder, wanted):
    tensors = load_file(folder / WEIGHTS)
    save_file({key: t for key, t in tensors.items() if wanted(key)}, folder / WEIGHTS)


def attached(shelf, folder):
    """(what the attach says, logits beside it)."""
    told = shelf.attach(folder, "a")
    return str(told), logits(shelf, "a")


def refused(shelf, folder):
    before = logits(shelf)
    with pytest.raises(CheckpointError) as caught:
        shelf.attach(folder)
    assert shelf.names == ()
    assert torch.equal(logits(shelf), before)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", APART)
def test_experts_that_peft_trained_as_linears_have_its_logits(plain, shelf, tmp_path, name):
    kind, settings = APART[name]
    want = made_by_peft(with_experts(plain[1], kind), tmp_path / "a", lora(**settings))
    told, got = attached(shelf, tmp_path / "a")
    assert (got - logits(shelf)).abs().max() > 1e-2
    torch.testing.assert_close(got, want, **CLOSE)
    assert "note" not in told


@pytest.mark.parametrize("name", ["unsloth, ranks and alphas", "per expert, ranks and alphas"])
def test_they_are_exported_in_pefts_layout(plain, shelf, tmp_path, name):
    kind, settings = APART[name]
    want = made_by_peft(with_experts(plain[1], kind), tmp_path / "a", lora(**settings))
    path = write_adapter(read_adapter(tmp_path / "a", plain[0]), plain[0], tmp_path / "b")
    torch.testing.assert_close(attached(shelf, path)[1], want, **CLOSE)


def by_expert(folder, shape):
    """The experts of peft's file as tensors with the experts first, by `shape(name, A, B)`."""
    tensors, fresh = load_file(folder / WEIGHTS), {}
    names = {"base_layer.": "gate_up_proj", "": "down_proj"}
    for key in [key for key in tensors if key.endswith("lora_A.weight") and ".experts." in key]:
        place = key.removesuffix("lora_A.weight")
        nest = "base_layer." if "base_layer." in place else ""
        a, b = tensors.pop(key), tensors.pop(f"{place}lora_B.weight")
        fresh |= shape(place.removesuffix(nest) + names[nest], *experts_from_peft(a, b, 8))
    save_file({k: t.contiguous() for k, t in (tensors | fresh).items()}, folder / WEIGHTS)


def stacked(name, a, b):
    return {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}


def stacked_flat(name, a, b):
    return {f"{name}.lora_A": a.flatten(0, 1), f"{name}.lora_B": b}


def gate_and_up(name, a, b):
    if name.endswith("down_proj"):
        return stacked(name, a, b)
    gate, up = (name.replace("gate_up_proj", leaf) for leaf in ("gate_proj", "up_proj"))
    return stacked(gate, a, b[:, ::2]) | stacked(up, a.clone(), b[:, 1::2])


def by_mixtral(name, a, b):
    swapped = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
    return {
        key.replace(old, new): tensor
        for key, tensor in gate_and_up(name, a, b).items()
        for old, new in swapped.items()
        if f".{old}." in key
    }


@pytest.mark.parametrize("shape", [stacked, stacked_flat, gate_and_up, by_mixtral])
def test_experts_stacked_in_one_tensor_have_pefts_logits(plain, shelf, tmp_path, shape):
    config = lora(target_modules=["q_proj"], target_parameters=[GATE_UP, DOWN])
    want = made_by_peft(plain[1], tmp_path / "a", config)
    by_expert(tmp_path / "a", shape)
    edit(tmp_path / "a", target_parameters=None)
    torch.testing.assert_close(attached(shelf, tmp_path / "a")[1], want, **CLOSE)


def test_one_factor_for_all_experts_is_each_ones(plain, shelf, tmp_path):
    config = lora(target_modules=["q_proj"], target_parameters=[GATE_UP, DOWN])
    made_by_peft(plain[1], tmp_path / "a", config)
    shared = tmp_path / "b"
    shutil.copytree(tmp_path / "a", shared)
    by_expert(tmp_path / "a", lambda name, a, b: stacked(name, a[:1].expand(8, -1, -1), b))
    by_expert(shared, lambda name, a, b: stacked(name, a[:1], b))
    for folder in (tmp_path / "a", shared):
        edit(folder, target_parameters=None)
    want = attached(shelf, tmp_path / "a")[1]
    shelf.attach(shared, "b")
    assert torch.equal(logits(shelf, "b"), want)


WRONG = {
    "expert 8": lambda t: {"experts.gate_up_projs.8.lora_A": randn(4, 64)},
    "columns": lambda t: {
        "experts.gate_up_projs.1.lora_A": randn(4, 63),
        "experts.gate_up_projs.1.lora_B": randn(128, 4),
    },
    "rows of the gate": lambda t: {
        "experts.1.gate_proj.lora_A": randn(4, 64),
        "experts.1.gate_proj.lora_B": randn(128, 4),
    },
    "seven experts": lambda t: {
        "experts.down_proj.lora_A": randn(7, 4, 64),
        "experts.down_proj.lora_B": randn(7, 64, 4),
    },
    "not stacked": lambda t: {
        "experts.down_proj.lora_A": randn(32, 64),
        "experts.down_proj.lora_B": randn(64, 32),
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_split_experts_of_another_shape_are_refused_by_name(plain, shelf, tmp_path, name):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    extra = {f"{BASE}model.layers.0.mlp.{k}.weight": t for k, t in WRONG[name](None).items()}
    save_file(load_file(tmp_path / "a" / WEIGHTS) | extra, tmp_path / "a" / WEIGHTS)
    assert "model.layers.0.mlp.experts." in refused(shelf, tmp_path / "a")


NAMES = {
    "adapter's name": lambda key: key.replace(".weight", ".default.weight"),
    "adapter's name with a dash": lambda key: key.replace(".weight", ".my-run.weight"),
    "no prefix": lambda key: key.removeprefix(BASE),
    "prefix twice": lambda key: BASE + key,
    "all of it": lambda key: BASE + BASE + key.replace(".weight", ".x.weight"),
    "without weight": lambda key: key.removesuffix(".weight"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_state_dicts_are_pefts(plain, shelf, tmp_path, name):
    want = made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj", "o_proj"]))
    rename(tmp_path / "a", NAMES[name])
    torch.testing.assert_close(attached(shelf, tmp_path / "a")[1], want, **CLOSE)


def test_a_router_saved_as_a_module_of_its_own_is_read(plain, shelf, tmp_path):
    config = lora(target_modules=["q_proj"], modules_to_save=["router"])
    want = made_by_peft(plain[1], tmp_path / "a", config)
    rename(tmp_path / "a", lambda key: key.replace("router.", "router.modules_to_save.default."))
    torch.testing.assert_close(attached(shelf, tmp_path / "a")[1], want, **CLOSE)


def test_two_adapters_in_one_file_are_refused(plain, shelf, tmp_path):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    rename(
        tmp_path / "a",
        lambda key: key.replace(".weight", ".one.weight" if "layers.0" in key else ".two.weight"),
    )
    assert "2 adapters in one file (one, two)" in refused(shelf, tmp_path / "a")


def test_one_tensor_under_two_names_is_refused(plain, shelf, tmp_path):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    tensors = load_file(tmp_path / "a" / WEIGHTS)
    twice = {key.removeprefix(BASE): tensor.clone() for key, tensor in tensors.items()}
    save_file(tensors | twice, tmp_path / "a" / WEIGHTS)
    assert "twice, under two names" in refused(shelf, tmp_path / "a")


def to_mlx(folder, scale=2.0, **fields):
    """What mlx-lm would have written in place of peft's `folder` (r 4, alpha 8)."""
    by_expert(folder, gate_and_up)
    fresh = {}
    for key, tensor in load_file(folder / WEIGHTS).items():
        if "lora_" not in key:
            continue  # peft's copy of the head
        name = key.removeprefix(BASE).removesuffix(".weight")
        name = name.replace("lora_A", "lora_a").replace("lora_B", "lora_b")
        fresh[name] = tensor if ".experts." in name else tensor.T.contiguous()
    save_file(fresh, folder / "adapters.safetensors")
    (folder / WEIGHTS).unlink()
    about = {"rank": 8, "scale": scale, "dropout": 0.0}
    config = {"fine_tune_type": "lora", "num_layers": 16, "model": "mlx-community/gpt-oss-20b-4bit"}
    config |= {"lora_parameters": about} | fields
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "v_proj", "lm_head"]},
        {"target_modules": ["k_proj"], "rank_pattern": {"k_proj": 3}, "lora_alpha": 6, "r": 3},
        {"target_parameters": ["mlp.router.weight"], "target_modules": ["o_proj"]},
        {"target_parameters": [GATE_UP, DOWN, "mlp.router.weight"], "target_modules": ["q_proj"]},
    ],
    ids=str,
)
def test_an_adapter_of_mlx_has_the_same_logits(plain, shelf, tmp_path, settings):
    want = made_by_peft(plain[1], tmp_path / "a", lora(**settings))
    to_mlx(tmp_path / "a")
    told, got = attached(shelf, tmp_path / "a")
    torch.testing.assert_close(got, want, **CLOSE)
    assert "note" not in told
    exported = write_adapter(shelf.held["a"].adapter, plain[0], tmp_path / "b")
    base = json.loads((exported / CONFIG).read_text())["base_model_name_or_path"]
    assert base == "mlx-community/gpt-oss-20b-4bit"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"fine_tune_type": "dora"}, "an adapter of mlx-lm, fine_tune_type 'dora'"),
        ({"fine_tune_type": "full"}, "an adapter of mlx-lm, fine_tune_type 'full'"),
        ({"lora_parameters": None}, "mlx-lm whose lora_parameters give no scale"),
        ({"lora_parameters": {"rank": 8, "scale": "20"}}, "give no scale"),
    ],
)
def test_what_of_mlx_is_no_plain_lora_is_refused_by_name(plain, shelf, tmp_path, fields, says):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    to_mlx(tmp_path / "a", **fields)
    assert says in refused(shelf, tmp_path / "a")


def test_mlx_with_other_tensors_or_none_is_refused(plain, shelf, tmp_path):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    to_mlx(tmp_path / "a")
    tensors = load_file(tmp_path / "a" / "adapters.safetensors")
    save_file(tensors | {f"{Q0}.m": randn(64)}, tmp_path / "a" / "adapters.safetensors")
    assert f"{Q0}.m: an adapter of mlx-lm has lora_a and lora_b alone" in refused(
        shelf, tmp_path / "a"
    )
    (tmp_path / "a" / "adapters.safetensors").unlink()
    assert "no adapters.safetensors here" in refused(shelf, tmp_path / "a")


MISSING = {
    "a layer": ({"target_modules": ["q_proj", "v_proj"]}, "layers.1", "2 of 4 places"),
    "a pattern's": ({"target_modules": r".*\.(q|o)_proj"}, "layers.0.self_attn.o", "1 of 4"),
    "all-linear": ({"target_modules": "all-linear"}, "k_proj", "2 of 8"),
    "experts of a layer": (
        {"target_modules": ["q_proj"], "target_parameters": [GATE_UP, DOWN]},
        "layers.1.mlp.experts",
        "2 of 6",
    ),
    "one projection": ({"target_parameters": [GATE_UP, DOWN]}, "base_layer", "2 of 4"),
    "the other projection": (
        {"target_parameters": [GATE_UP, DOWN]},
        "experts.lora",
        f"model.layers.0.{DOWN}",
    ),
    "a router": ({"target_parameters": ["mlp.router.weight"]}, "layers.0", "router.weight"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_the_config_names_and_the_file_lacks_is_noted_and_as_in_peft(
    plain, shelf, tmp_path, name
):
    settings, gone, says = MISSING[name]
    made_by_peft(plain[1], tmp_path / "a", lora(**settings))
    keep(tmp_path / "a", lambda key: gone not in key)
    told, got = attached(shelf, tmp_path / "a")
    assert "\nnote: no tensors for " in told
    assert says in told
    assert "stay as in the base model" in told
    torch.testing.assert_close(got, by_peft(plain[1], tmp_path / "a"), **CLOSE)


def by_peft(plain, folder):
    from adapter_cases import in_peft

    return in_peft(plain, folder)


def test_a_whole_router_that_the_file_lacks_is_refused_as_in_peft(plain, shelf, tmp_path):
    config = lora(target_modules=["q_proj"], modules_to_save=["router"])
    made_by_peft(plain[1], tmp_path / "a", config)
    keep(tmp_path / "a", lambda key: "layers.1.mlp.router" not in key)
    with pytest.raises(KeyError):
        by_peft(plain[1], tmp_path / "a")
    assert "model.layers.1.mlp.router: named by modules_to_save" in refused(shelf, tmp_path / "a")


def test_missing_experts_of_unsloth_are_noted(plain, shelf, tmp_path):
    kind, settings = APART["unsloth, ranks and alphas"]
    made_by_peft(with_experts(plain[1], kind), tmp_path / "a", lora(**settings))
    keep(tmp_path / "a", lambda key: "layers.1.mlp.experts.gate_up_projs.6" not in key)
    told, _ = attached(shelf, tmp_path / "a")
    assert "for 1 of 16 places" in told
    assert "(model.layers.1.mlp.experts.gate_up_projs.6)" in told


def test_targets_that_name_no_module_are_noted(plain, shelf, tmp_path):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    edit(tmp_path / "a", target_modules=["q_proj", "gate_proj", "up_proj", "down_proj"])
    assert "names gate_proj, up_proj, down_proj, which this model has no linear for" in str(
        shelf.attach(tmp_path / "a")
    )


def test_an_involved_pattern_is_noted_and_never_run(plain, shelf, tmp_path):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    edit(tmp_path / "a", target_modules="(a+)+(.*)*q_proj")
    assert "too involved a pattern" in str(shelf.attach(tmp_path / "a"))


def test_a_pair_without_b_is_nothing_as_in_peft(plain, shelf, tmp_path):
    made_by_peft(plain[1], tmp_path / "a", LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    keep(tmp_path / "a", lambda key: f"{Q0}.lora_B" not in key)
    told, got = attached(shelf, tmp_path / "a")
    assert f"lora_A without lora_B at {Q0}" in told
    torch.testing.assert_close(got, by_peft(plain[1], tmp_path / "a"), **CLOSE)


@pytest.mark.parametrize("target", ["q_proj", GATE_UP])
def test_a_pair_without_a_is_refused_peft_would_draw_it(plain, shelf, tmp_path, target):
    kind = "target_modules" if target == "q_proj" else "target_parameters"
    made_by_peft(plain[1], tmp_path / "a", lora(**{kind: [target]}))
    keep(tmp_path / "a", lambda key: "layers.1" not in key or "lora_B" in key)
    assert "lora_B without lora_A: an incomplete file" in refused(shelf, tmp_path / "a")


@pytest.mark.parametrize("targets", [["q_proj"], r".*q_proj", ["layers.1.self_attn.v_proj"]])
def test_tensors_that_the_config_does_not_name_are_refused(plain, shelf, tmp_path, targets):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj", "v_proj"]))
    edit(tmp_path / "a", target_modules=targets)
    assert "in the file, but not among target_modules" in refused(shelf, tmp_path / "a")


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": 7},
        {"target_modules": ["q_proj", 3]},
        {"target_modules": {"q_proj": 1}},
        {"target_parameters": "mlp.experts.down_proj"},
        {"modules_to_save": 1},
        {"rank_pattern": ["q_proj"]},
        {"alpha_pattern": 4},
        {"target_modules": "(q_proj"},
        {"r": "4"},
        {"lora_alpha": [8]},
        {"peft_type": None},
        {"peft_type": ["LORA"]},
        {"bias": 1},
    ],
    ids=str,
)
def test_odd_values_in_an_adapters_config_are_one_line(plain, shelf, tmp_path, fields):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    edit(tmp_path / "a", **fields)
    assert str(tmp_path / "a") in refused(shelf, tmp_path / "a")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.bool])
def test_adapters_in_another_dtype_are_one_line(plain, shelf, tmp_path, dtype):
    made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    tensors = load_file(tmp_path / "a" / WEIGHTS)
    save_file({key: tensor.to(dtype) for key, tensor in tensors.items()}, tmp_path / "a" / WEIGHTS)
    assert "it holds no finite numbers" in refused(shelf, tmp_path / "a")


def test_our_own_config_of_another_kind_is_one_line(plain, shelf, tmp_path):
    (tmp_path / "gptoss_magic.json").write_text('{"format": 1, "config": "LORA"}')
    assert "config is damaged" in refused(shelf, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_adapters_config_may_begin_with_a_bom(plain, shelf, tmp_path, encoding):
    want = made_by_peft(plain[1], tmp_path / "a", lora(target_modules=["q_proj"]))
    file = tmp_path / "a" / CONFIG
    file.write_bytes(file.read_text().encode(encoding))
    torch.testing.assert_close(attached(shelf, tmp_path / "a")[1], want, **CLOSE)
