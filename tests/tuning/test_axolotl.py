"""Axolotl's YAML: a run written and read again, and files by others."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.axolotl import read_axolotl, write_axolotl
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.tuning.settings import TrainSettings

THEIRS = """
base_model: openai/gpt-oss-20b
plugins: [axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin]
datasets:
  - path: HuggingFaceH4/Multilingual-Thinking
    type: chat_template
  - path: other.jsonl
adapter: lora
lora_r: 16
lora_alpha: 32
lora_dropout: 0.05
lora_target_modules: [q_proj, k_proj, v_proj, o_proj, gate_proj]
sequence_len: 4096
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 3
learning_rate: 2e-4
lr_scheduler: linear
optimizer: adamw_torch_fused
warmup_ratio: 0.1
"""


def read(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_axolotl(path)


shares = st.floats(0, 0.875)


@given(
    method=st.builds(
        settings_of,
        name=st.sampled_from(["lora", "experts"]),
        rank=st.integers(1, 128),
        alpha=st.one_of(st.integers(1, 64).map(float), st.floats(0.01, 512)),
    ),
    train=st.builds(
        TrainSettings,
        learning_rate=st.floats(0, 0.1),
        epochs=st.floats(0.01, 20),
        num_steps=st.integers(0, 10_000),
        max_tokens=st.integers(8, 10**5),
        warmup=shares,
        floor=st.one_of(shares, st.just(1.0)),
        held_out=shares,
        eval_every=st.integers(1, 500),
        seed=st.integers(0, 2**31),
    ),
    batch=st.integers(1, 64),
    data=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1),
)
def test_a_run_written_is_read_the_same(tmp_path_factory, method, train, batch, data):
    if method.name == "experts":
        method = replace(method, choice="all")  # all that Axolotl can say
    train = replace(train, step_tokens=batch * train.max_tokens)
    text, unsaid = write_axolotl(method, train, "openai/gpt-oss-20b", data)
    found = read(tmp_path_factory.mktemp("yaml"), text)
    rate = train.learning_rate or METHODS[method.name].rate.usual
    every = train.eval_every if train.held_out else TrainSettings().eval_every
    assert found.method == replace(method, alpha=max(1, round(method.alpha)))
    assert found.train == replace(train, learning_rate=rate, eval_every=every)
    assert found.data == data
    assert found.not_understood == ()
    is_open = train.learning_rate == 0
    assert len(unsaid) == 1 + is_open + (found.method.alpha != method.alpha)


def test_a_file_by_others(tmp_path):
    found = read(tmp_path, THEIRS)
    assert found.method == settings_of(name="lora", rank=16, alpha=32.0)
    assert found.train.learning_rate == 2e-4  # text, to YAML
    assert (found.train.step_tokens, found.train.max_tokens) == (8 * 4096, 4096)
    assert found.data == "HuggingFaceH4/Multilingual-Thinking"
    assert set(found.not_understood) == {
        "plugins",
        "lora_dropout: 0.05",
        "lr_scheduler: linear",
        "lora_target_modules: gate_proj",
        "datasets: other.jsonl",
    }


def test_targets_name_the_method(tmp_path):
    base = "adapter: qlora\ndatasets: [{path: a.jsonl}]\n"
    both = base + "lora_target_modules: q_proj\nlora_target_parameters: [mlp.experts.down_proj]"
    found = read(tmp_path, both)
    assert (found.method.name, found.method.choice) == ("experts", "all")
    assert set(found.not_understood) == {"adapter: qlora", "lora_target_modules: q_proj"}
    one = read(tmp_path, base + "lora_target_modules: [q_proj, v_proj, k_proj]")
    assert "lora_target_modules: o_proj is trained too" in one.not_understood
    assert read(tmp_path, base + "lora_target_linear: true").method.name == "lora"


def test_parameters_are_matched_as_peft_does_and_layers_are_named(tmp_path):
    base = "adapter: lora\ndatasets: [{path: a.jsonl}]\nwandb_project:\n"
    short = read(tmp_path, base + "lora_target_parameters: [experts.gate_up_proj, down_proj]")
    assert (short.method.name, short.not_understood) == ("experts", ())
    layer = "22._checkpoint_wrapped_module.mlp.experts.down_proj"
    found = read(tmp_path, base + f"lora_target_parameters: [{layer}]")
    said = f"lora_target_parameters: {layer}: every layer is trained"
    assert found.not_understood == (said,)
    assert read(tmp_path, base + "lora_target_modules: all-linear").method.name == "lora"


def test_of_a_data_set_what_rows_here_do_not_know_is_named(tmp_path):
    base = "adapter: lora\nlora_target_linear: true\ndatasets:\n- path: a.jsonl\n  "
    keys = ["type: sharegpt", "field_messages: conversations", "message_field_training: train"]
    assert read(tmp_path, base + "\n  ".join(keys)).not_understood == ()
    keys = ["type: completion", "message_field_training: mine", "roles_to_train: [user]"]
    keys += ["split: test", "field_messages: turns"]
    assert read(tmp_path, base + "\n  ".join(keys)).not_understood == (
        "datasets.type: completion",
        "datasets.message_field_training: mine",
        "datasets.roles_to_train: (list)",
        "datasets.split: test",
        "datasets.field_messages: turns",
    )


@pytest.mark.parametrize("name", METHODS)
def test_what_axolotl_cannot_say_is_named(name):
    method, train = settings_of(name=name), TrainSettings(learning_rate=1e-4)
    if METHODS[name].axolotl is None:
        with pytest.raises(InputError, match="Axolotl has none"):
            write_axolotl(method, train, "m", "d.jsonl")
        return
    text, unsaid = write_axolotl(method, train, "m", "d.jsonl", [3, 4])
    found = yaml.safe_load(text)
    assert found["datasets"][0]["ds_type"] == "json"
    words = METHODS[name].axolotl
    assert found.get("lora_target_modules", []) == list(words.modules)
    assert found.get("lora_target_parameters", []) == list(words.parameters)
    assert (len(unsaid) > 1) == (name != "lora")
    if name == "experts":
        assert unsaid[0].startswith("hot experts (7 in 2 layers)")


def test_open_settings_and_odd_steps_are_named():
    train = TrainSettings(step_tokens=1500)
    text, unsaid = write_axolotl(settings_of(name="lora"), train, "m", "d")
    assert yaml.safe_load(text)["learning_rate"] == METHODS["lora"].rate.usual
    assert [line.split()[0] for line in unsaid[:2]] == ["learning_rate:", "step_tokens"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1, 2]", "holds no keys"),
        ("a: [", "no YAML"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("learning_rate: 1", "LoRA runs alone"),
        ("adapter: lora\nlora_target_modules: [q_proj]", "names no data"),
        ("adapter: lora\ndatasets: [{path: x}]", "neither attention"),
        ("adapter: lora\nlora_r: many\ndatasets: [{path: x}]\nlora_target_linear: true", "lora_r"),
        ("adapter: lora\nseed: .inf\ndatasets: [{path: x}]\nlora_target_linear: true", "seed"),
        ("#" * (1 << 20) + "\na: 1", "larger"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        read(tmp_path, text)


def test_a_file_that_unfolds_without_end_is_read(tmp_path):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    lines += ["adapter: lora", "lora_target_modules: [*a59, q_proj]", "optimizer: *a59"]
    found = read(tmp_path, "\n".join([*lines, "datasets: [{path: x, type: *a59}]"]))
    assert "optimizer: (list)" in found.not_understood
    assert "datasets.type: (list)" in found.not_understood
    huge = "adapter: lora\nlora_target_modules: 5\ndatasets: [{path: x}]"
    with pytest.raises(InputError, match="neither attention"):
        read(tmp_path, huge)
    with pytest.raises(InputError, match="learning_rate"):
        read(tmp_path, THEIRS.replace("2e-4", "1" + "0" * 400))


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_axolotl(tmp_path / "none.yaml")
