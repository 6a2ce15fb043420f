"""Recipes: what fits a card, and files that others' tools read as they were meant."""

import ast
import json
import shlex

import pytest
import yaml

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.tune import TUNE
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.axolotl import read_axolotl
from gptoss_magic.tuning.configurations import HEADERS, RANKS
from gptoss_magic.tuning.dry_run import dry_run
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.tuning.recipe import recipe
from gptoss_magic.tuning.recipe_files import files_of
from gptoss_magic.tuning.run_time import CardSpeed, forward_flops, train_flops, train_seconds
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.shapes import known_config, packed_bytes, unpacked_bytes


@pytest.fixture(scope="module")
def found():
    return recipe(80, rows=500, length=2048)


def labelled(found, label):
    return next(one for one in found.configurations if one.label == label)


def test_each_method_and_choice_stands_once_and_is_that_of_the_plan(found):
    labels = [one.label for one in found.configurations]
    assert {label.split(",")[0] for label in labels} == set(METHODS)
    assert [label for label in labels if label.startswith("experts,")] == [
        "experts, hot",
        "experts, random",
        "experts, all",
    ]
    one = labelled(found, "experts, all")
    assert one.plan == dry_run("120b", 80 * 10**9, one.method, one.train)
    assert (one.train.max_tokens, one.train.step_tokens) == (2048, 2048)
    assert len(one.row()) == len(HEADERS)


def test_the_largest_rank_and_the_longest_row_are_the_last_that_fit(found):
    one = labelled(found, "experts, all")
    larger = RANKS[RANKS.index(one.largest_rank) + 1]
    known = one.method.record()
    fits = [
        dry_run("120b", 80 * 10**9, settings_of(**{**known, "rank": rank}), one.train).fits
        for rank in (one.largest_rank, larger)
    ]
    assert fits == [True, False]
    plans = [
        dry_run("120b", 80 * 10**9, one.method, TrainSettings(max_tokens=tokens)).fits
        for tokens in (one.longest, one.longest + 128)
    ]
    assert plans == [True, False]
    assert labelled(found, "router").largest_rank is None


def test_a_small_card_fits_nothing_and_says_so():
    none = recipe(24)
    assert none.fitting == ()
    row = none.configurations[0].row()
    assert (row[4][0], row[5], row[6], row[7], row[8]) == ("−", "no", "none", None, "")
    with pytest.raises(InputError, match="nothing of the recipe fits"):
        none.write("never")


def test_products_are_those_of_the_active_parameters():
    """gpt-oss-120b is published with 5.1 billion active parameters, the 20b with 3.6."""
    for name, billions in (("120b", 5.1), ("20b", 3.6)):
        config = known_config(name)
        layer, _, head = forward_flops(config, 2)
        active = (config["num_hidden_layers"] * layer + head) / 2
        assert active / 1e9 == pytest.approx(billions, rel=0.02)
    config, lora = known_config("20b"), settings_of("lora")
    kept, again = (train_flops(config, lora, 1024, recompute) for recompute in (False, True))
    assert 1.3 < again / kept < 1.5
    assert train_flops(config, settings_of("last-layers"), 1024, False) < kept


def test_time_grows_with_tokens_and_falls_with_the_card():
    plan = dry_run("20b", 80 * 10**9, settings_of("lora"), TrainSettings())
    slow, fast = CardSpeed(50, 500), CardSpeed(100, 1000)
    assert train_seconds(plan, 10_240, slow) == pytest.approx(2 * train_seconds(plan, 10_240, fast))
    assert train_seconds(plan, 20_480, fast) == pytest.approx(2 * train_seconds(plan, 10_240, fast))
    with pytest.raises(InputError, match="numbers above 0"):
        CardSpeed(0, 1)


def test_unpacked_weights_are_those_of_bf16(tmp_path):
    from gptoss_magic.model.checkpoint import read_checkpoint

    packed, whole = (
        read_checkpoint("tiny", tiny_checkpoint(tmp_path / str(packed), packed=packed))
        for packed in (True, False)
    )
    assert 2 * unpacked_bytes(packed.config) == whole.num_bytes  # that one is in fp32
    assert unpacked_bytes(known_config("20b")) / packed_bytes(known_config("20b")) > 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"card": 0}, "give numbers above 0"),
        ({"card": float("nan")}, "give numbers above 0"),
        ({"rows": 0}, "give numbers above 0"),
        ({"length": 4}, "rows of 8 to"),
        ({"length": 10**9}, "rows of 8 to"),
        ({"rank": 0}, "give numbers above 0"),
        ({"like": "7b"}, "120b and 20b"),
        ({"method": "qlora"}, "there are experts"),
        ({"tflops": -1.0}, "numbers above 0"),
        ({"row": 3}, "did you mean rows"),
    ],
)
def test_what_cannot_be_is_one_line(given, said):
    with pytest.raises(InputError, match=said) as caught:
        gptoss_magic.recipe(**given)
    assert "\n" not in str(caught.value)


def test_the_tune_cell_says_the_same_run(found):
    for one in found.fitting:
        line = files_of(found.use, one, "мои данные.jsonl")["tune_cell.txt"]
        _, *words = shlex.split(line)
        given = opt.parse(TUNE, shlex.join(words))
        assert given.data == "мои данные.jsonl"
        method = {name: getattr(given, name, None) for name in one.method.record()}
        assert method | {"name": given.method} == one.method.record()
        train = one.train.record()
        said = {name: getattr(given, name, None) for name in train}
        assert {k: v for k, v in said.items() if v is not None} == {
            name: train[name]
            for name in (
                *("learning_rate", "epochs", "step_tokens", "max_tokens", "held_out", "seed"),
            )
        }


def test_files_are_new_whole_and_read_by_others(found, tmp_path):
    paths = found.write(tmp_path / "recipe", "rows.jsonl")
    folders = {path.name for path in (tmp_path / "recipe").iterdir() if path.is_dir()}
    assert "experts-all" in folders
    assert len(paths) == len([p for p in (tmp_path / "recipe").rglob("*") if p.is_file()])
    assert [p.name for p in (tmp_path / "recipe" / "router").iterdir()] == ["tune_cell.txt"]
    notes = (tmp_path / "recipe" / "notes.txt").read_text(encoding="utf-8")
    assert "which have no words for it: router" in notes
    read = read_axolotl(tmp_path / "recipe" / "experts-all" / "axolotl.yaml")
    one = labelled(found, "experts, all")
    assert (read.method, read.not_understood) == (one.method, ())
    with pytest.raises(InputError, match="is there already"):
        found.write(tmp_path / "recipe")


def test_peft_trains_what_the_plan_counted(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from gptoss_magic.tuning.counts import num_parameters

    found = recipe(80, like="20b", rank=3)
    path = tiny_checkpoint(tmp_path / "tiny", packed=False)
    for label in ("experts, all", "lora"):
        one = labelled(found, label)
        folder = tmp_path / label
        folder.mkdir()
        text = files_of(found.use, one, "rows.jsonl")["adapter_config.json"]
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
        config = LoraConfig.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(path)
        tuned = get_peft_model(model, config)
        numbers = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
        assert numbers == num_parameters(model.config.to_dict(), one.method)
        assert json.loads(text)["base_model_name_or_path"] == "openai/gpt-oss-20b"


def test_unsloths_script_is_python_with_the_same_settings(found):
    one = labelled(found, "experts, all")
    text = files_of(found.use, one, "a \"b\" 'c'\n.jsonl")["unsloth.py"]
    calls = {
        node.func.attr: {word.arg: word.value for word in node.keywords}
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    said = calls["get_peft_model"]
    assert ast.literal_eval(said["r"]) == 8
    assert ast.literal_eval(said["target_parameters"])[0] == "mlp.experts.gate_up_proj"
    assert ast.literal_eval(calls["from_pretrained"]["max_seq_length"]) == 2048


def test_axolotls_file_begins_with_what_it_needs_and_cannot_say(found):
    text = files_of(found.use, labelled(found, "experts, hot"), "rows.jsonl")["axolotl.yaml"]
    notes = [line for line in text.splitlines() if line.startswith("# ")]
    assert "of weights alone" in notes[0]
    assert notes[1].startswith("# hot experts: every expert")
    assert yaml.safe_load(text)["lora_target_parameters"][0] == "mlp.experts.gate_up_proj"
