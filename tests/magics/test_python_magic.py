"""`%%gptoss --tool python` in a shell: raw code, a state of the conversation's own."""

import platform
from dataclasses import replace

import pytest

import gptoss_magic
from gptoss_magic.agents.consent import by_policy
from gptoss_magic.agents.tools import as_tool
from gptoss_magic.magics.toolbox import BUILT_IN, ToolPlace
from gptoss_magic.scripted import calling, running, saying, scripted
from gptoss_magic.session import current
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
    for process in current().pythons.values():
        process.end()
    current().pythons.clear()


def asked(shell, options, *script):
    with scripted(current(), *script) as engine:
        run(shell, f"%%gptoss -q -o a {options}\nHello")[0].raise_error()
    return shell.user_ns["a"], engine


def test_raw_code_runs_and_its_result_is_python_s(shell):
    code = "total = sum(range(10))\ntotal"
    answer, engine = asked(shell, "-n --tool python", running(code, "I add."), saying("45."))
    assert answer.steps[0].result == "45"
    assert answer.steps[0].call.arguments == {"code": code}
    told = engine.prompt_texts[1]
    assert f"<|start|>assistant to=python<|channel|>analysis code<|message|>{code}<|call|>" in told
    assert "<|start|>python to=assistant<|channel|>analysis<|message|>45<|end|>" in told
    assert "## python\n\nUse this tool" in told
    assert "functions" not in told


@pytest.mark.parametrize("code", ['{"a": 1}["a"]', '{"a": 1}', "[1][0]", '"text"'])
def test_code_that_looks_like_json_is_code(shell, code):
    answer, _ = asked(shell, "-n --tool python", running(code), saying("x"))
    assert answer.steps[0].outcome == "result"
    assert answer.steps[0].result == str(eval(code))


def test_a_call_that_wraps_the_code_in_json_is_understood(shell):
    answer, _ = asked(
        shell, "-n --tool python", calling("python", '{"code": "6 * 7"}'), saying("x")
    )
    assert answer.steps[0].result == "42"


def test_names_stay_in_the_conversation_and_go_with_a_new_one(shell):
    asked(shell, "-n --tool python", running("x = 6"), saying("a"))
    answer, _ = asked(shell, "--tool python", running("x * 7"), saying("b"))
    assert answer.steps[0].result == "42"
    other, _ = asked(shell, "-c other --tool python", running("x"), saying("c"))
    assert "NameError" in other.steps[0].result
    fresh, _ = asked(shell, "-n --tool python", running("x"), saying("d"))
    assert "NameError" in fresh.steps[0].result


def test_a_function_of_the_user_s_by_that_name_is_another_tool(shell):
    shell.run_cell(
        'def python(code: str) -> str:\n    """Describe a snake."""\n    return f"snake {code}"\n'
    )
    try:
        own = as_tool(shell.user_ns["python"])
        native = BUILT_IN["python"](ToolPlace("", shell))
        tools = [replace(own, policy="auto"), replace(native, policy="auto")]
        script = (running("1 + 1"), calling("python", '{"code": "x"}'), saying("both"))
        with scripted(current(), *script) as engine:
            answer = gptoss_magic.generate("Both?", tools=tools, consent=by_policy())
        assert [step.result for step in answer.steps] == ["2", "snake x"]
        assert (
            "<|start|>functions.python to=assistant<|channel|>commentary"
            in (engine.prompt_texts[2])
        )
    finally:
        del shell.user_ns["python"]


def test_unasked_no_code_runs(shell):
    current().policies.forget()
    answer, _ = asked(shell, "-n --tool python", running("1"), saying("x"))
    assert answer.steps[0].outcome == "refused"
    assert all(process.is_fresh for process in current().pythons.values())
