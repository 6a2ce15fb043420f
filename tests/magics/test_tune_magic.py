"""`%%gptoss_tune`, `%gptoss runs` and what they leave, in a real shell on a tiny model."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.runs import read_run
from tests.shell_cells import new_shell

ROWS = "\n".join(
    json.dumps({"prompt": f"say {i}", "analysis": f"it is {i}", "answer": f"aye {i}"})
    for i in range(8)
)
CONTEXT = (
    16_384  # bytes: the tiny tokenizer has a token for each; a canary's prompts fit side by side
)
LINE = "--go --runs runs --steps 4 --step-tokens 900 --eval-every 2 -r 2 --quiet"


@pytest.fixture
def shell(brief, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell = new_shell()
    path = tiny_checkpoint(tmp_path / "tiny", max_position_embeddings=CONTEXT)
    shell.run_line_magic("gptoss", f"load {path} --context {CONTEXT} --replace")
    yield shell
    gptoss_magic.unload()


def tune(shell, line, body=ROWS):
    if body:
        shell.run_cell_magic("gptoss_tune", line, body)
    else:
        shell.run_line_magic("gptoss_tune", line)


def test_a_dry_run_shows_the_plan_and_writes_nothing(shell, tmp_path, capsys):
    tune(shell, "--runs runs -r 2 --show 0")
    said = capsys.readouterr().out
    assert "7 rows, 1 held out" in said
    assert "trains: LoRA r=2 on" in said
    assert "needed" in said
    assert re.search(r"about \d+ s\b", said)
    assert "add --go" in said
    assert not (tmp_path / "runs").exists()


def test_a_run_leaves_an_adapter_in_use_and_a_report(shell, tmp_path, capsys):
    tune(shell, f"{LINE} --as aye -o report")
    report = shell.user_ns["report"]
    assert report.held_out[0] is not None
    assert report.held_out[1] != report.held_out[0]
    assert len(report.answers) == 1
    assert report.answers[0][0].startswith("say ")
    assert current().shelf.default == ("aye",)
    run = read_run(tmp_path / "runs" / "aye")
    assert run.finish == "return"
    assert run.report["held_out"] == list(report.held_out)
    assert (run.adapter / "adapter_model.safetensors").is_file()
    shell.run_line_magic("gptoss", "runs --runs runs")
    assert "aye" in capsys.readouterr().out
    with pytest.raises(InputError, match="there is such a run"):
        tune(shell, f"{LINE} --as aye")


def test_a_run_is_gone_on_from_with_replay_and_says_what_it_forgot(shell, tmp_path):
    tune(shell, f"{LINE} --as first")
    other = ROWS.replace("aye", "nay")
    tune(shell, f"{LINE} --as second --after first --replay 0.5 --own 1 -o report", other)
    run = read_run(tmp_path / "runs" / "second")
    assert run.base == ("first",)
    assert run.about["replayed"] == 4
    before, now = shell.user_ns["report"].forgotten["first"]
    assert before != now


def test_routers_first_then_the_experts_that_they_reveal(shell, tmp_path):
    tune(shell, f"{LINE} --as two --method router+experts")
    stages = [read_run(tmp_path / "runs" / name) for name in ("two.router", "two")]
    assert [stage.method.name for stage in stages] == ["router", "router+experts"]
    kinds = {(part["kind"], part["frozen"]) for part in stages[1].parts}
    assert kinds == {("RouterDelta", True), ("ExpertLora", False)}


def test_a_stopped_run_goes_on_to_where_an_unbroken_one_ends(shell, tmp_path):
    from pathlib import Path

    from gptoss_magic.runs.prepare import prepare, resume
    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.tuning.control import Control
    from gptoss_magic.tuning.methods import settings_of
    from gptoss_magic.tuning.settings import TrainSettings
    from gptoss_magic.tuning.sources import read_rows

    def made(name):
        train = TrainSettings(learning_rate=1e-3, num_steps=4, step_tokens=900, eval_every=2)
        found = prepare(
            Wanted(read_rows(None, ROWS, {}), name, settings_of(rank=2), train, Path("runs"))
        )
        found.begin()
        return found

    whole, broken, control = made("whole"), made("broken"), Control()
    list(whole.steps(Control()))
    for metrics in broken.steps(control):
        if metrics.step == 2:
            control.stop()
    assert broken.run.finish == "stopped"
    again = resume("broken", Path("runs"))
    list(again.steps(Control()))
    for a, b in zip(whole.trainer.weights, again.trainer.weights, strict=True):
        assert (a == b).all()
    tune_line = "--resume broken --runs runs --quiet"
    shell.run_line_magic("gptoss_tune", tune_line)
    assert read_run(tmp_path / "runs" / "broken").finish == "return"


def test_a_background_run_gives_the_cell_back_and_can_be_stopped(shell, tmp_path, capsys):
    line = LINE.replace("--steps 4", "--steps 4000")
    tune(shell, f"{line} --as long --background")
    with pytest.raises(InputError, match="the run long trains the model"):
        shell.run_cell_magic("gptoss", "--quiet -m 4", "hello")
    shell.run_line_magic("gptoss", "runs stop")
    for thread in threading.enumerate():
        if thread.name == "long":
            thread.join(120)
    assert current().training is None
    assert read_run(tmp_path / "runs" / "long").finish == "stopped"
    shell.run_cell_magic("gptoss", "--quiet -m 4 -o answer", "hello")
    assert shell.user_ns["answer"].provenance["adapters"][0]["name"] == "long"


@pytest.mark.parametrize(
    ("line", "body", "said"),
    [
        ("", "nonsense", "no rows"),
        ("", '{"prompt": "x"}', "row 1: no answer"),
        ("nowhere.jsonl", "", "neither a variable"),
        ("-x 99", ROWS, "a layer has 8"),
        ("-M lora -H 3", ROWS, r"method lora has no num_heads \(--heads\); it has rank, alpha"),
        ("--from-conversation none", "", "nothing was said"),
        ("--max-tokens 20", ROWS, "tokens, more than 20"),
        ("--show 99", ROWS, "examples 0 to"),
        ("--resume none", "", "no run lies there"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(shell, tmp_path, line, body, said):
    with pytest.raises(InputError, match=said):
        tune(shell, f"--runs runs {line}", body)
    assert not (tmp_path / "runs").exists()


def test_an_interrupted_run_keeps_its_steps_and_says_how_to_go_on(shell, tmp_path, capsys):
    passes = []
    first = current().resident.model.model.layers[0]
    first.register_forward_hook(lambda *_: passes.append(current().training is not None))

    def interrupt():
        while sum(passes) < 30:  # some steps of the run
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    tune(shell, f"{LINE.replace('--steps 4', '--steps 4000')} --as cut")
    assert "%gptoss_tune --resume cut goes on" in capsys.readouterr().out
    run = read_run(tmp_path / "runs" / "cut")
    assert run.finish == "interrupt"
    assert len(run.history()) == run.history()[-1].step > 0
    assert current().training is None
    shell.run_cell_magic("gptoss", "--quiet -m 4", "hello")


def test_rows_are_grown_and_shown_with_what_was_left_out(shell, capsys):
    shell.run_cell_magic("gptoss_data", "--rows 2 -o rows", "questions about the sea")
    said = capsys.readouterr().out
    assert "attempts" in said
    assert "left out by" in said  # a random model says nothing that passes the rules
    assert shell.user_ns["rows"] == []


def test_the_model_reasons_where_rows_do_not(shell):
    from gptoss_magic.studies.self_instruct import with_analysis
    from gptoss_magic.tuning.sources import row_of

    rows = [row_of({"prompt": "a", "answer": "b"}), row_of(json.loads(ROWS.splitlines()[0]))]
    with scripted(current(), saying("Never mind.", "I think.")):
        found = with_analysis(rows, lambda *_: None)
    assert found[1] == rows[1]
    assert [m.content for m in found[0].messages][-3:] == ["a", "I think.", "b"]
    with scripted(current(), saying("No thought.")):
        assert with_analysis(rows, lambda *_: None) == rows


def test_the_plan_names_repeated_and_cut_rows(shell, tmp_path, capsys):
    first = ROWS.split("\n")[0]
    (tmp_path / "rows.jsonl").write_text(f"{first}\n{first}\n")
    shell.run_line_magic("gptoss_tune", "rows.jsonl --runs runs --held-out 0 --steps 2 -r 2 -C all")
    said = capsys.readouterr().out
    assert "2 rows, " in said
    assert "1 duplicates" in said
    assert "held out" not in said


def test_the_plan_says_how_the_rows_were_read(shell, tmp_path, capsys):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "bad", "weight": 0}]
    turns += [turns[0], {"role": "assistant", "content": "<think>so</think>good"}]
    rows = [{"messages": turns, "id": 1}, {"prompt": "a"}, {"prompt": "a", "answer": "\ud83d"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tune(shell, "rows.jsonl --runs runs --held-out 0 --steps 2 -r 2 -C all --show 0 --go", "")
    said = capsys.readouterr().out
    for line in (
        "read: messages → messages; prompt → the prompt; answer → the answer",
        "not read: id (row 1)",
        "mended: <think> became analysis (row 1); lone surrogates became U+FFFD (row 3)",
        "context only, not trained: turns marked so in row 1",
        "left out, 1 row: row 2: no answer; it has prompt",
        "2 rows, ",
        "2 mended, 1 partly trained, 1 left out",
    ):
        assert line in said
    assert "⟦bad" not in said
    about = read_run(tmp_path / "runs" / "tuned").about
    assert (about["rows"], about["mended"], about["left out"]) == (2, 2, 1)


def test_seeds_say_how_they_were_read(shell, capsys):
    shell.user_ns["seeds"] = [{"prompt": "a", "answer": "b", "id": 1}, {"prompt": "c"}]
    shell.run_cell_magic("gptoss_data", "--rows 1 -i seeds -o rows", "the sea")
    said = capsys.readouterr().out
    assert "seeds not read: id (row 1)" in said
    assert "seeds left out, 1 row: row 2: no answer" in said


def test_axolotl_says_the_same_run(shell, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    line = "rows.jsonl --runs runs --steps 4 -r 2 -C all --write-axolotl run.yaml"
    shell.run_line_magic("gptoss_tune", line)
    first = capsys.readouterr().out
    assert "they cannot say: " in first
    shell.run_line_magic("gptoss_tune", "--runs runs --axolotl run.yaml")
    again = capsys.readouterr().out
    plans = [said[said.index("trains: ") : said.index("GB")] for said in (first, again)]
    assert plans[0] == plans[1]
    assert "4 steps" in again


def test_a_scripts_run_warns_of_rows_that_were_left_out(shell):
    from gptoss_magic.studies.tune import tune as run

    rows = [*map(json.loads, ROWS.splitlines()), {"prompt": "x"}]
    with pytest.warns(UserWarning, match="left out, 1 row: row 9: no answer"):
        run(rows, name="script", folder="runs", num_steps=2, step_tokens=900, rank=2)
    assert read_run(Path("runs/script")).about["left out"] == 1


def test_a_scripts_run_asks_a_suite_too(shell):
    from gptoss_magic import tune as run

    rows = list(map(json.loads, ROWS.splitlines()))
    sums = [{"question": f"{n} + 1?", "checker": "odd"} for n in range(3)]
    asked = []
    how = {"name": "script", "folder": "runs", "num_steps": 3, "step_tokens": 900, "rank": 2}
    names = {"odd": lambda item, final: asked.append(item.id) or False}
    seen = []
    run(rows, **how, every=2, suite=sums, items=2, names=names, on_step=seen.append)
    assert [one.probe is None for one in seen] == [True, False, False]
    assert asked  # by the notebook's own checker
    for more in ({"every": 2}, {"suite": sums}):
        with pytest.raises(InputError, match="every and suite go together"):
            run(rows, **{**how, "name": "other"}, **more)
    with pytest.raises(InputError, match="every 0: give 1 step or more"):
        run(rows, **{**how, "name": "other"}, every=0, suite=sums)
    assert not Path("runs/other").exists()


def test_a_suite_is_asked_between_steps_and_changes_nothing_of_the_run(shell, tmp_path, capsys):
    from safetensors.torch import load_file

    shell.user_ns["sums"] = [{"question": f"{n} + 1?", "answer": str(n + 1)} for n in range(3)]
    line = LINE.replace("--steps 2", "") + " --steps 3 -l 0.01"
    tune(shell, f"{line} --as plain")
    tune(shell, f"{line} --as watched --every 2 --suite sums --items 2")
    said = capsys.readouterr().out
    assert "sums: 0% right before step 1, of 2 items" in said
    history = read_run(tmp_path / "runs" / "watched").history()
    probes = [metrics.probe for metrics in history]
    assert [probe is None for probe in probes] == [True, False, False]
    assert probes[1].base == 0.0
    assert [m.loss for m in history] == [
        m.loss for m in read_run(tmp_path / "runs" / "plain").history()
    ]
    one, other = (
        load_file(read_run(tmp_path / "runs" / name).adapter / "adapter_model.safetensors")
        for name in ("plain", "watched")
    )
    assert all(bool((one[key] == other[key]).all()) for key in one)
    assert current().shelf.names == ("plain", "watched")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--every 2", "--every means something beside --suite only"),
        ("--suite gsm8k", "--suite means something beside --every only"),
        ("--every 0 --suite sums", "0"),
        ("--every 2 --suite nosuch.jsonl", "nosuch.jsonl"),
    ],
)
def test_a_suite_that_cannot_be_asked_is_refused_before_the_run(shell, tmp_path, line, words):
    shell.user_ns["sums"] = [{"question": "1 + 1?", "answer": "2"}]
    with pytest.raises(InputError, match=words):
        tune(shell, f"{LINE} --as refused {line}")
    assert not (tmp_path / "runs" / "refused").exists()
