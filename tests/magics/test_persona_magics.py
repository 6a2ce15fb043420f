"""`%%gptoss_persona` and `%gptoss persona` in a real shell, with a tiny model."""

import json

import pytest

import gptoss_magic
from gptoss_magic.agents.layers import digest
from gptoss_magic.errors import InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.session import current
from gptoss_magic.studies.persona import neutral_prompts, read_prompts
from gptoss_magic.tuning.sources import read_rows
from tests.adapter_cases import mixed
from tests.shell_cells import clean_session, run, tiny_shell

PIRATE = """%%gptoss_persona pirate
---
style: salty
effort: low
sampler: {temperature: 0, max_tokens: 5, top_k: 7}
---
Say Ahoy.
"""
TERSE = "%%gptoss_persona terse\n---\nextends: pirate\nsampler: {max_tokens: 3}\n---\nBe brief."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 8", "%config GptOssMagics.date = '2026-01-02'")
    with tiny_shell(tmp_path_factory.mktemp("persona"), 2048, *cells) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    with clean_session(monkeypatch, tmp_path / "data"):
        for cell in (PIRATE, TERSE):
            run(tiny, cell)
        yield tiny


def prompt_of(shell, name="a"):
    tokens = shell.user_ns[name].provenance["prompt_tokens"]
    return current().codec.decode(tokens)


def test_a_persona_answers_until_another_does(shell):
    assert "pirate in use" in run(shell, "%gptoss persona use pirate")[1]
    _, shown = run(shell, "%%gptoss -o a\nHello")
    assert "persona pirate." in shown
    answer = shell.user_ns["a"]
    assert "Reasoning: low" in prompt_of(shell)
    assert "# Instructions\n\nStyle: salty\n\nSay Ahoy." in prompt_of(shell)
    assert answer.provenance["sampling"]["max_tokens"] == 5
    assert answer.provenance["persona"]["layers"] == [
        {"name": "pirate", "sha256": digest(current().personas["pirate"])}
    ]
    assert "pirate" in run(shell, "%gptoss status")[1]
    run(shell, "%gptoss persona use none")
    run(shell, "%%gptoss -q -o a\nHello")
    assert "Ahoy" not in prompt_of(shell)
    assert "persona" not in shell.user_ns["a"].provenance
    assert len(shell.user_ns["a"].raw_tokens) <= 8


def test_a_cell_can_be_repeated_from_its_provenance(shell):
    run(shell, "%%gptoss -q -n -P pirate -t 1.3 -o a\nHello")
    first = shell.user_ns["a"]
    names = [layer["name"] for layer in first.provenance["persona"]["layers"]]
    again = gptoss_magic.generate(
        "Hello", persona=names, date="2026-01-02", **first.provenance["sampling"]
    )
    assert again.raw_tokens == first.raw_tokens
    assert again.provenance == first.provenance | {
        "cached_tokens": again.provenance["cached_tokens"],
        "turn": again.provenance["turn"],
    }


def test_the_line_wins_over_the_persona_and_the_persona_over_the_defaults(shell):
    run(shell, "%config GptOssMagics.system = 'Everybody.'")
    run(shell, "%%gptoss -q -n -P pirate -m 2 -e high --system 'Mind this.' -o a\nHello")
    sampling = shell.user_ns["a"].provenance["sampling"]
    assert (sampling["max_tokens"], sampling["top_k"], sampling["temperature"]) == (2, 7, 0)
    assert "Reasoning: high" in prompt_of(shell)
    assert "Say Ahoy.\n\nMind this." in prompt_of(shell)
    assert "Everybody." not in prompt_of(shell)
    run(shell, "%config GptOssMagics.system = None")


def test_layers_and_a_persona_for_one_cell(shell):
    run(shell, "%%gptoss -q -P terse -o a\nHello")
    assert "Say Ahoy.\n\nBe brief." in prompt_of(shell)
    assert shell.user_ns["a"].provenance["sampling"]["max_tokens"] == 3
    assert shell.user_ns["a"].provenance["persona"]["name"] == "pirate+terse"
    assert current().persona == ()
    run(shell, "%gptoss persona use pirate terse")
    run(shell, "%%gptoss -q --persona none -o a\nHello")
    assert "Ahoy" not in prompt_of(shell)


def test_conversations_are_apart_and_switching_computes_nothing_again(shell):
    for name, text in (("pirate", "One"), ("none", "Two"), ("pirate", "Three")):
        run(shell, f"%%gptoss -q -P {name} -o a\n{text}")
    assert set(current().conversations) == {"default", "default @ pirate"}
    prompt = prompt_of(shell)
    assert "One" in prompt
    assert "Two" not in prompt
    cached = shell.user_ns["a"].usage.cached_tokens
    first = len(current().codec.encode("Say Ahoy."))
    assert cached > first + 60  # the first turn of this persona, answer and all


def test_show_list_diff_export_import_remove(shell, tmp_path):
    assert "style: salty" in run(shell, "%gptoss persona show pirate")[1]
    run(shell, "%gptoss persona use pirate")
    listed = run(shell, "%gptoss persona list")[1]
    assert "*  pirate" in listed
    assert "max_tokens 3" in listed
    assert "-Say Ahoy.\n" in run(shell, "%gptoss persona diff pirate terse")[1]
    assert "say the same" in run(shell, "%gptoss persona diff pirate pirate")[1]
    path = tmp_path / "captain.md"
    run(shell, f"%gptoss persona export pirate {path}")
    assert path.read_text() == PIRATE.partition("\n")[2]
    result, _ = run(shell, f"%gptoss persona export pirate {path}")
    assert "--force" in str(result.error_in_exec)
    assert "in use" in str(run(shell, "%gptoss persona remove pirate")[0].error_in_exec)
    run(shell, "%gptoss persona use none")
    run(shell, "%gptoss persona remove pirate")
    assert "pirate" not in current().personas
    run(shell, f"%gptoss persona import {path}")
    assert current().personas["captain"].settings["effort"] == "low"
    run(shell, f"%gptoss persona import {path} --as pirate")
    assert "there are captain, pirate, terse" in str(
        run(shell, "%gptoss persona show x")[0].error_in_exec
    )


def test_a_changed_persona_changes_the_next_answer(shell):
    assert "changed" in run(shell, PIRATE.replace("Ahoy", "Arr"))[1]
    run(shell, "%%gptoss -q -P pirate -o a\nHello")
    assert "Say Arr." in prompt_of(shell)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%gptoss --persona nobody\nx", "no such persona"),
        ("%gptoss persona use nobody", "no such persona"),
        ("%gptoss persona sing", "no such command"),
        ("%%gptoss_persona\nx", "required: name"),
        ("%%gptoss_persona a b\nx", "unrecognized"),
        ("%%gptoss_persona none\nx", "is not 'none'"),
        ("%%gptoss_persona x\n---\nstile: dry\n---\n", "perhaps style"),
        ("%gptoss persona import nowhere.md", "nowhere.md"),
        ("%gptoss persona distil pirate -o x.csv", "new .jsonl file"),
        ("%gptoss persona score pirate --adapter none_such", "no such adapter"),
        ("%gptoss persona score pirate --prompts nowhere.txt", "nowhere.txt"),
    ],
)
def test_an_error_is_one_line_and_changes_nothing(shell, cell, says):
    before = dict(current().personas), current().persona
    result, shown = run(shell, cell)
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1
    assert (dict(current().personas), current().persona) == before


def test_a_persona_names_what_is_not_there(shell):
    guest = "%%gptoss_persona guest\n---\ntools: [erase]\n---\n"
    assert "it names erase" in run(shell, guest)[1]
    result, _ = run(shell, "%%gptoss -q -P guest\nHello")
    assert "erase" in str(result.error_in_exec)
    run(shell, "%%gptoss_persona sailor\n---\nadapters: [sea]\n---\n")
    result, _ = run(shell, "%%gptoss -q -P sailor\nHello")
    assert "sea: no such adapter" in str(result.error_in_exec)


def test_a_map_has_the_persona(shell):
    run(shell, "import pandas as pd\nf = pd.DataFrame({'x': ['One', 'Two']})")
    result, _ = run(shell, "%%gptoss --map f -P pirate -n -o m\n{{ x }}")
    assert result.success
    assert shell.user_ns["m"].provenance["persona"]["name"] == "pirate"


def test_completion(shell):
    assert candidates("%gptoss persona us") == ["use"]
    assert candidates("%gptoss persona use p") == ["pirate"]
    assert candidates("%%gptoss --persona ") == ["pirate", "terse", "none"]
    assert "Markdown" in shell.object_inspect_text("%%gptoss_persona")


def test_a_score_is_measured(shell, tmp_path):
    (tmp_path / "probes.txt").write_text("Hello\n\nWho are you?\n")
    _, shown = run(shell, f"%gptoss persona score pirate -f {tmp_path}/probes.txt -m 6 -o s")
    assert "gain of the text" in shown
    score = shell.user_ns["s"]
    assert [probe.prompt for probe in score.probes] == ["Hello", "Who are you?"]
    assert score.gain > 0  # greedy answers are likelier where they come from
    assert (score.context_share, score.adapter_gain) == (None, None)
    frame = score.to_frame()
    assert list(frame["persona"]) == [p.answers["persona"].final for p in score.probes]
    assert frame["persona|persona"].mean() - frame["persona|base"].mean() == pytest.approx(
        score.gain
    )
    assert not current().conversations.latest


def test_shares_of_an_adapters_effect(shell):
    current().shelf.add(mixed())
    shell.user_ns["asked"] = ["Hello", "Who are you?", "Why?"]
    _, shown = run(shell, "%gptoss persona score pirate -f asked -a mixed -m 6 -o s")
    assert "by context alone" in shown
    score, frame = shell.user_ns["s"], shell.user_ns["s"].to_frame()
    whole = (frame["adapter|adapter"] - frame["adapter|base"]).sum()
    part = (frame["adapter|persona"] - frame["adapter|base"]).sum()
    assert score.adapter_gain == pytest.approx(whole / 3)
    assert score.adapter_gain > 0
    assert score.context_share == pytest.approx(part / whole)
    low, high = score.interval("context_share")
    assert low <= score.context_share <= high
    assert current().shelf.default == ()
    current().shelf.detach("mixed")


def test_rows_of_a_personas_answers(shell, tmp_path):
    shell.user_ns["asked"] = ["Hello", "Who are you?"]
    result, _ = run(shell, f"%gptoss persona distil pirate -f asked -m 4 -o {tmp_path}/rows.jsonl")
    assert "no answer can be a row: cut off" in str(result.error_in_exec)
    assert not (tmp_path / "rows.jsonl").exists()


def test_prompts_from_everywhere(tmp_path):
    assert len(neutral_prompts()) == 16
    assert read_prompts(None, {}) == []
    (tmp_path / "p.jsonl").write_text(json.dumps({"prompt": "Hi"}) + "\n")
    assert read_prompts(str(tmp_path / "p.jsonl"), {}) == ["Hi"]
    assert read_prompts("x", {"x": ["a", {"prompt": "b", "answer": "c"}]}) == ["a", "b"]
    for bad in ([], [""], [3]):
        with pytest.raises(InputError):
            read_prompts("x", {"x": bad})
    assert read_rows("x", "", {"x": [{"prompt": "a", "analysis": "b", "answer": "c"}]})
