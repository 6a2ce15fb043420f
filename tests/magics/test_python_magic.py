"""`%%gptoss --tool python` in a shell: raw code, names of the conversation's own."""

import json
import platform
from dataclasses import replace

import pytest

import gptoss_magic
from gptoss_magic.agents.consent import by_policy
from gptoss_magic.agents.python_process import ANEW
from gptoss_magic.agents.tools import as_tool
from gptoss_magic.magics.show import transcript
from gptoss_magic.magics.toolbox import BUILT_IN, ToolPlace
from gptoss_magic.scripted import calling, running, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.sharing.answer_json import answer_json
from gptoss_magic.sharing.notebooks import KEY
from gptoss_magic.sharing.replay import replay
from gptoss_magic.tuning.chats import row_of
from gptoss_magic.turns.surgery import branch
from gptoss_magic.widgets.static_html import transcript_html, transcript_text
from tests.agents.test_native_python import FAKE, PNG
from tests.shell_cells import clean_session, run, tiny_shell

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="seccomp is Linux's")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("python"), 8192) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    with clean_session(monkeypatch, tmp_path / "data"):
        run(tiny, "%gptoss tools allow python")
        yield tiny


def asked(shell, options, *script):
    with scripted(current(), *script) as engine:
        run(shell, f"%%gptoss -q -o a {options}\nHello")[0].raise_error()
    return shell.user_ns["a"], engine


def results(answer):
    return [step.result for step in answer.steps]


def test_raw_code_runs_and_its_result_is_python_s(shell):
    code = "total = sum(range(10))\ntotal"
    answer, engine = asked(shell, "-n --tool python", running(code, "I add."), saying("45."))
    assert results(answer) == ["45"]
    assert answer.steps[0].call.arguments == {"code": code}
    told = engine.prompt_texts[1]
    assert f"<|start|>assistant to=python<|channel|>analysis code<|message|>{code}<|call|>" in told
    assert "<|start|>python to=assistant<|channel|>analysis<|message|>45<|end|>" in told
    assert "## python\n\nUse this tool" in told
    assert "functions" not in told


CODES = ['{"a": 1}["a"]', '{"a": 1}', "[1][0]", '"text"', '{"code": 3}', "  1 + 1", "x = 3\n\nx\n"]


@pytest.mark.parametrize("code", CODES)
def test_code_that_looks_like_json_is_code(shell, code):
    answer, engine = asked(shell, "-n --tool python", running(code), saying("x"))
    assert answer.steps[0].call.raw == code
    (step,) = answer.steps
    assert step.outcome == "result"
    assert step.code_run.code == code
    assert f"<|message|>{code}<|call|>" in engine.prompt_texts[1]


def test_a_call_that_wraps_the_code_in_json_is_understood(shell):
    wrapped = calling("python", '{"code": "6 * 7"}')
    answer, _ = asked(shell, "-n --tool python", wrapped, saying("x"))
    assert results(answer) == ["42"]


def test_names_stay_in_the_conversation_and_go_with_a_new_one(shell):
    asked(shell, "-n --tool python", running("x = 6"), saying("a"))
    answer, _ = asked(shell, "--tool python", running("x * 7"), running("x"), saying("b"))
    assert results(answer) == ["42", "6"]
    other, _ = asked(shell, "-c other --tool python", running("x"), saying("c"))
    assert "NameError" in other.steps[0].result
    again, _ = asked(shell, "--tool python", running("x + 1"), saying("b"))
    assert results(again) == ["7"]
    fresh, _ = asked(shell, "-n --tool python", running("x"), saying("d"))
    assert "NameError" in fresh.steps[0].result
    assert ANEW not in fresh.steps[0].result, "a new conversation had nothing before"


def test_an_answer_that_is_branched_keeps_its_names(shell):
    """Its calls stand before what is said anew."""
    answer, _ = asked(shell, "-n --tool python", running("x = 6"), saying("It is six."))
    with scripted(current(), saying("Six!")):
        branch(answer, 3)
    after, _ = asked(shell, "--tool python", running("x"), saying("b"))
    assert results(after) == ["6"]


def test_a_turn_that_was_taken_back_takes_its_names_along(shell):
    asked(shell, "-n --tool python", running("x = 1"), saying("a"))
    conversations = current().conversations
    (name,) = list(conversations)
    first = conversations.latest[name]
    asked(shell, "--tool python", running("x = 2"), saying("b"))
    conversations.latest[name] = first
    answer, _ = asked(shell, "--tool python", running("x"), saying("c"))
    assert answer.steps[0].result.startswith(ANEW)
    assert "NameError" in answer.steps[0].result


def test_a_process_that_died_is_told_of_once(shell):
    crash, left = running("import os; os._exit(1)"), running("x")
    answer, _ = asked(shell, "-n --tool python", running("x = 1"), crash, left, left, saying("b"))
    assert "ended by status 1: what was defined is gone" in answer.steps[1].result
    assert all(one.startswith("Traceback") for one in results(answer)[2:])


def test_a_call_s_time_is_the_notebook_s(shell):
    shell.magics_manager.registry["GptOssMagics"].call_seconds = 5.0
    loop = running("x = 1\nwhile True: pass")
    answer, engine = asked(shell, "-n --tool python", loop, running("x"), saying("b"))
    assert "[interrupted after 4.5 s]" in answer.steps[0].result
    assert answer.steps[1].result == "1"
    assert "time out after 4.5 seconds" in engine.prompt_texts[0]


def test_each_call_may_have_a_process_of_its_own(shell):
    run(shell, "%gptoss tools allow python:fresh")
    answer, engine = asked(
        shell, "-n --tool python:fresh", running("x = 1\nx"), running("x"), saying("b")
    )
    assert answer.steps[0].result == "1"
    assert "NameError" in answer.steps[1].result
    assert "nothing is kept between calls" in engine.prompt_texts[0]
    assert current().pythons.held == []


def test_a_function_of_the_user_s_by_that_name_is_another_tool(shell):
    shell.run_cell(
        'def python(code: str) -> str:\n    """Describe a snake."""\n    return f"snake {code}"\n'
    )
    own = as_tool(shell.user_ns["python"])
    native = BUILT_IN["python"](ToolPlace("", shell))
    tools = [replace(own, policy="auto"), replace(native, policy="auto")]
    script = (running("1 + 1"), calling("python", '{"code": "x"}'), saying("both"))
    with scripted(current(), *script) as engine:
        answer = gptoss_magic.generate("Both?", tools=tools, consent=by_policy())
    assert results(answer) == ["2", "snake x"]
    told = engine.prompt_texts[2]
    assert "<|start|>functions.python to=assistant<|channel|>commentary" in told
    assert list(answer.provenance["tools"]["offered"]) == ["functions.python", "python"]
    run(shell, "%gptoss tools allow python:kept python")
    both, _ = asked(shell, "-n --tool python:kept --tool python", *script)
    assert results(both) == ["2", "snake x"]


def test_unasked_no_code_runs(shell):
    current().policies.forget()
    answer, _ = asked(shell, "-n --tool python", running("1"), saying("x"))
    assert answer.steps[0].outcome == "refused"
    assert "%gptoss tools allow python" in answer.steps[0].result
    assert current().pythons.held == []


def test_unloading_ends_the_processes(tmp_path, shell):
    asked(shell, "-n --tool python", running("x = 1"), saying("a"))
    (process,) = current().pythons.held
    assert process.is_running
    current().pythons.end()
    assert not process.is_running


def test_what_is_drawn_stands_in_the_notebook_without_a_kernel(shell):
    """In the HTML, and in the record that JupyterLab's renderer reads."""
    answer, _ = asked(shell, "-n --tool python", running(FAKE.format(png=PNG)), saying("Drawn."))
    shown = transcript(answer)
    assert f"data:image/png;base64,{PNG}" in transcript_html(shown)
    assert "[figure 1]" in transcript_text(shown)
    record = json.loads(json.dumps(answer_json(answer)))
    assert record["steps"][0]["figures"] == [PNG]


def test_a_run_is_replayed_and_its_code_called_again_where_that_is_let(shell, tmp_path):
    script = (running("x = 6"), running("x * 7"), saying("42"))
    with scripted(current(), *script):
        made = gptoss_magic.generate("?", tools=tools_of(shell), consent=by_policy())
    output = {"metadata": {KEY: answer_json(made)["record"]}}
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps({"cells": [{"source": "x", "outputs": [output]}]}))
    with scripted(current(), *script):
        (one,) = replay(path)
        assert one.verdict == "identical"
    with scripted(current(), *script):
        (live,) = replay(path, tool_named=lambda name: tools_of(shell), consent=by_policy())
    assert live.verdict == "identical"
    other = [replace(tools_of(shell)[0], function=lambda code, steps: "7")]
    with scripted(current(), *script):
        (parted,) = replay(path, tool_named=lambda name: other, consent=by_policy())
    assert parted.causes == (
        "tool python: «(done; it printed nothing)» then, «7» here",
        "tool python: «42» then, «7» here",
    )


def tools_of(shell):
    return [replace(BUILT_IN["python"](ToolPlace("", shell)), policy="auto")]


def test_from_python_names_stay_as_long_as_the_tool_is_given(shell):
    tool = gptoss_magic.python_tool(policy="auto", seconds=10)
    how = {"tools": [tool], "consent": by_policy(), "conversation": "script"}
    with scripted(current(), running("x = 6"), saying("a"), running("x * 7"), saying("b")):
        gptoss_magic.generate("One", **how)
        answer = gptoss_magic.generate("Two", **how)
    assert results(answer) == ["42"]
    assert "time out after 9 seconds" in tool.space
    fresh = gptoss_magic.python_tool(kept=False)
    assert (fresh.policy, fresh.sees_steps) == ("ask", False)


def test_goals_beside_each_other_have_names_of_their_own(shell, tmp_path):
    goals = {
        "goals": {
            one: {"text": f"Goal {one}.", "test": f"answer == {one!r}"} for one in ("left", "right")
        }
    }

    def turn(prompt):
        mine = "left" if "# Goal: left" in prompt else "right"
        done = prompt.count("to=assistant<|channel|>analysis<|message|>")
        return [running(f"x = '{mine}'"), running("x"), saying(mine)][done]

    with scripted(current(), always=turn) as engine:
        board = gptoss_magic.goals(
            "two", goals, tools=tools_of(shell), consent=by_policy(), journal=tmp_path / "two.jsonl"
        )
    assert [node.state for node in board.nodes] == ["done", "done"]
    assert any("<|message|>left<|end|>" in one for one in engine.prompt_texts)
    rows = gptoss_magic.goal_rows(board)
    for row, node in zip(rows, board.nodes, strict=True):
        kept = [m for m in node.tries[-1].messages if m.role == "tool"]
        read = [m for m in row_of(row).messages if m.role == "tool"]
        assert [(m.author, m.channel, m.content) for m in read] == [
            (m.author, m.channel, m.content) for m in kept
        ]
        assert {m.author for m in read} == {"python"}
