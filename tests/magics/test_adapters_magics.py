"""`%gptoss lora …` and `%%gptoss --adapter` in a real shell."""

import json

import pytest
from adapter_cases import expert_lora, mixed, randn
from IPython.utils.capture import capture_output
from transformers import AutoModelForCausalLM

from gptoss_magic.adapters import Adapter, read_adapter, write_adapter
from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.model.parts import SoftPrompt
from gptoss_magic.session import current
from gptoss_magic.turns.status import status
from tests.shell_cells import tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 8", "%config GptOssMagics.date = '2026-01-01'")
    with tiny_shell(tmp_path_factory.mktemp("lora"), 1024, *cells) as shell:
        yield shell


@pytest.fixture(scope="module")
def folders(shell, tmp_path_factory):
    """Directories of three adapters."""
    root, model = tmp_path_factory.mktemp("adapters"), current().resident.model
    soft = SoftPrompt(randn(4, 64, seed=3) * 5)
    made = {
        "style": mixed(),
        "facts": Adapter("facts", (expert_lora((1, 2)),)),
        "soft": Adapter("soft", (soft,)),
    }
    return {name: write_adapter(each, model, root / name) for name, each in made.items()}


@pytest.fixture
def attached(shell, folders):
    for folder in folders.values():
        assert run(shell, f"%gptoss lora attach '{folder}'")[0].success
    yield folders
    for name in current().shelf.names:
        current().shelf.detach(name)


def run(shell, source):
    """(result, printed text, outputs) of one cell."""
    with capture_output() as captured:
        result = shell.run_cell(source)
    return result, captured.stdout + captured.stderr, [out.data for out in captured.outputs]


def answer(shell, options):
    assert run(shell, f"%%gptoss -q -n -t 0 -o a {options}\nHello")[0].success
    return shell.user_ns["a"]


def test_attaching_says_what_was_attached(shell, folders):
    result, shown, _ = run(shell, f"%gptoss lora attach '{folders['style']}' --as one --scale 0.5")
    assert result.success
    assert "one attached: LoRA r=2 on 1 × q_proj, 1 × router" in shown
    assert "6 experts in 2 layers (gate_up_proj, down_proj)" in shown
    assert "logits change by up to" in shown
    assert "%gptoss lora use one" in shown
    assert "one x 0.5" in run(shell, "%gptoss status")[2][0]["text/plain"]
    assert run(shell, "%gptoss lora detach one")[0].success
    assert current().shelf.names == ()


def test_one_prompt_chooses(shell, attached):
    base, tuned = answer(shell, ""), answer(shell, "--adapter style")
    both = answer(shell, "--adapter style --adapter soft")
    assert len({base.raw_tokens, tuned.raw_tokens, both.raw_tokens}) == 3
    names = [record["name"] for record in both.provenance["adapters"]]
    assert names == ["style", "soft"]
    run(shell, "%gptoss lora use style")
    assert answer(shell, "").raw_tokens == tuned.raw_tokens
    assert answer(shell, "--adapter none").raw_tokens == base.raw_tokens
    run(shell, "%gptoss lora scale style 0")
    assert answer(shell, "").raw_tokens == base.raw_tokens
    assert answer(shell, "").provenance["adapters"][0]["scale"] == 0
    assert "bare base" in run(shell, "%gptoss lora use none")[1]
    assert answer(shell, "").provenance["adapters"] == []


def test_the_list_is_a_table(shell, attached):
    run(shell, "%gptoss lora use facts soft")
    _, _, (shown,) = run(shell, "%gptoss lora list")
    lines = shown["text/plain"].splitlines()
    assert len(lines) == 4
    assert [line.split()[0] for line in lines[1:]] == ["style", "facts", "soft"]
    assert ["yes" in line for line in lines[1:]] == [False, True, True]
    assert "<table" in shown["text/html"]
    assert current().shelf.held["facts"].adapter.uid in shown["text/html"]


def test_comparing_shows_base_and_each_adapter(shell, attached):
    result, _, shown = run(shell, "%gptoss lora compare 'Say <b>hello</b>' and bye -m 6")
    assert result.success
    assert len(shown) == 1
    text, html = shown[0]["text/plain"], shown[0]["text/html"]
    assert "Say <b>hello</b> and bye" in text
    assert "<b>hello" not in html
    for name in ("base", "style", "facts", "soft"):
        assert f"== {name}" in text
        assert f"nats/token under {name}" in text
    assert text.count("nats/token") == 4 + 2 * 3
    _, _, some = run(shell, "%gptoss lora compare Hello --adapter facts -m 6")
    assert some[0]["text/plain"].count("nats/token") == 4


def test_each_greedy_answer_is_likelier_where_it_was_said(shell, attached):
    from gptoss_magic.turns import compare

    (found,) = compare(["Hello"], max_tokens=8, date="2026-01-01")
    assert found.answers["style"].raw_tokens != found.answers["base"].raw_tokens
    for figures in found.likelihoods.values():
        assert all(value < 0 for value in figures.values())
    own, under_base = (found.likelihoods["style"][name] for name in ("style", "base"))
    assert own > under_base


def test_an_export_comes_back_and_a_merge_opens_in_transformers(shell, attached, tmp_path):
    model = current().resident.model
    result, shown, _ = run(shell, f"%gptoss lora export style '{tmp_path / 'out'}'")
    assert result.success
    assert "written to" in shown
    same = read_adapter(tmp_path / "out", model)
    assert same.uid == current().shelf.held["style"].adapter.uid
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == current().resident.identity["model"]
    result, shown, _ = run(shell, f"%gptoss lora export style '{tmp_path / 'whole'}' --merged")
    assert result.success
    assert "merged is in" in shown
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "whole").config.num_local_experts == 8


@pytest.mark.parametrize(
    ("cell", "error", "says"),
    [
        ("%gptoss lora sing", InputError, "no such command"),
        ("%gptoss lora attach", InputError, "required"),
        ("%gptoss lora attach /nowhere", CheckpointError, "no such directory"),
        ("%gptoss lora detach nobody", InputError, "no such adapter"),
        ("%gptoss lora use nobody", InputError, "no such adapter"),
        ("%gptoss lora scale soft 2", InputError, "no scale"),
        ("%gptoss lora scale style much", InputError, "invalid float"),
        ("%%gptoss --adapter nobody\nx", InputError, "no such adapter"),
        ("%gptoss lora export soft x --merged", InputError, "no weight"),
        ("%gptoss lora export style x --merged --mxfp4", InputError, "MXFP4"),
        ("%gptoss lora export style /tmp", InputError, "is there already"),
    ],
)
def test_an_error_is_one_line(shell, attached, cell, error, says):
    before = current().shelf.status()
    result, shown, _ = run(shell, cell)
    assert isinstance(result.error_in_exec, error)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1
    assert current().shelf.status() == before


def test_a_name_is_taken_once(shell, attached):
    result, _, _ = run(shell, f"%gptoss lora attach '{attached['style']}'")
    assert "--as NAME" in str(result.error_in_exec)


def test_help_and_completion(shell, attached):
    assert "%gptoss lora" in run(shell, "%gptoss")[1]
    shown = run(shell, "%gptoss lora")[1]
    assert all(name in shown for name in ("attach", "detach", "compare", "export"))
    assert candidates("%gptoss lora at") == ["attach"]
    assert candidates("%gptoss lora use st") == ["style"]
    assert candidates("%gptoss lora use no") == ["none"]
    assert candidates("%gptoss lora export style --m") == ["--merged", "--mxfp4"]
    assert candidates("%gptoss lora compare hi --adapter f") == ["facts"]
    assert candidates("%%gptoss --adapter s") == ["style", "soft"]


def test_unloading_clears_the_shelf(shell, attached, folders):
    path = current().resident.settings
    current().unload()
    assert current().held_adapters is None
    current().load(path)
    assert status(current())["adapters"] == "none"
