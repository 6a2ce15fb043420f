"""`%%gptoss --tool` and `%gptoss tools` in a shell; what is shown of a run."""

import sys
from pathlib import Path

import pytest

from gptoss_magic.agents.tools import Tool
from gptoss_magic.errors import InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.magics.consent import question, visible
from gptoss_magic.records import Passage, Step, ToolCall, Transcript
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.widgets.static_html import transcript_html, transcript_text
from tests.shell_cells import run, tiny_shell

WEATHER = '''
called = []
def get_weather(city: str) -> str:
    """The weather in a city."""
    called.append(city)
    return f"snow in {city}"
'''


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("magics"), 2048) as shell:
        shell.run_cell(WEATHER)
        yield shell
    for server in current().servers.values():
        server.close()
    current().servers.clear()


@pytest.fixture
def shell(tiny):
    current().policies.forget()
    tiny.user_ns["called"].clear()
    return tiny


def asked(shell, options, *script):
    """(answer, what was shown) of a prompt cell that is answered from `script`."""
    with scripted(current(), *script) as engine:
        result, shown = run(shell, f"%%gptoss -o a -n {options}\nHello")
        result.raise_error()
    return shell.user_ns["a"], shown, engine


CALL = calling("get_weather", '{"city": "Oslo"}', "I look it up.")


def test_headless_and_unasked_nothing_runs(shell):
    answer, shown, _ = asked(shell, "--tool get_weather", CALL, saying("No."))
    assert shell.user_ns["called"] == []
    assert answer.steps[0].outcome == "refused"
    assert "nobody can be asked here" in shown
    assert "%gptoss tools allow get_weather" in shown


def test_an_allowed_tool_runs_and_later_turns_see_it(shell):
    assert "get_weather (notebook): auto" in run(shell, "%gptoss tools allow get_weather")[1]
    listed = run(shell, "%gptoss tools")[1].splitlines()
    assert [line.split()[:3] for line in listed if "weather" in line] == [
        ["get_weather", "auto", "notebook"]
    ]
    assert [line.split()[:2] for line in listed if line.startswith("python ")] == [
        ["python", "ask"]
    ]
    answer, shown, _ = asked(shell, "--tool get_weather", CALL, saying("It snows."))
    assert shell.user_ns["called"] == ["Oslo"]
    assert "snow in Oslo" in shown
    assert answer.provenance["tools"]["offered"]["get_weather"]["policy"] == "auto"
    with scripted(current(), saying("As said.")) as engine:
        run(shell, "%%gptoss -q\nAnd now?")
    kept = engine.prompt_texts[0]
    assert "snow in Oslo" in kept
    assert "I look it up." not in kept  # of an earlier turn
    run(shell, "%gptoss tools never get_weather")
    answer, _, _ = asked(shell, "--tool get_weather", CALL, saying("No."))
    assert "set this tool to never" in answer.steps[0].result


def test_a_redefined_function_asks_again(shell):
    run(shell, "%gptoss tools allow get_weather")
    run(shell, "def get_weather(city: str):\n    'Weather.'\n    called.append('other code')")
    answer, _, _ = asked(shell, "--tool get_weather", CALL, saying("No."))
    assert (answer.steps[0].outcome, shell.user_ns["called"]) == ("refused", [])
    names = dict(shell.user_ns)
    shell.run_cell(WEATHER)
    shell.user_ns["called"] = names["called"]


def test_no_run_shows_the_call_and_ends(shell):
    answer, shown, engine = asked(shell, "--tool get_weather --no-run", CALL, saying("No."))
    assert (answer.finish, answer.steps, len(engine.prompts)) == ("call", (), 1)
    assert answer.tool_calls[0].arguments == {"city": "Oslo"}
    assert '"city": "Oslo"' in shown
    assert "tools" not in answer.provenance


def test_the_limit_of_calls_and_its_errors(shell):
    run(shell, "%gptoss tools allow get_weather")
    answer, shown, _ = asked(shell, "--tool get_weather --calls 1", CALL, CALL, saying("x"))
    assert [step.outcome for step in answer.steps] == ["result", "limit"]
    assert "stopped at the limit of the run" in shown


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%gptoss --tool get_wether\nx", "did you mean get_weather"),
        ("%%gptoss --tool called\nx", "it is list, no function"),
        ("%%gptoss --tool search\nx", "search:NAME"),
        ("%%gptoss --tool python:there\nx", "python:kernel"),
        ("%%gptoss --tool get_weather --tool get_weather\nx", "given twice"),
        ("%%gptoss --tool get_weather --calls 0\nx", "--no-run"),
        ("%gptoss tools sing", "no such command"),
        ("%gptoss tools allow", "required: NAME"),
        ("%gptoss tools mcp", "command"),
        ("%gptoss tools mcp --loud x", "--as NAME"),
        ("%gptoss tools mcp sleep 1", "not started"),
        ("%gptoss tools stop it", "none of that name"),
    ],
)
def test_an_error_is_one_line(shell, cell, says):
    result, shown = run(shell, cell)
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1


def test_built_in_tools_by_name(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "cats.md").write_text("# Cats\n\nA cat sleeps fifteen hours.\n")
    run(shell, f"%gptoss index {tmp_path}/cats.md --as pets --embedder words")
    run(shell, "%gptoss tools allow search:pets python python:kernel plan notebook")
    answer, shown, _ = asked(
        shell,
        "--tool search:pets --tool plan --tool notebook --tool python:kernel",
        calling("search", '{"query": "cat"}'),
        calling("plan", '{"goal": "sleep", "state": "doing"}'),
        calling("notebook", "{}"),
        calling("python", '{"code": "called.append(7)\\nlen(called)"}'),
        calling("python", '{"code": "1 / 0"}'),
        saying("Fifteen hours 【1†L3】, not 【2†L1】."),
    )
    assert [s.outcome for s in answer.steps] == [*["result"] * 4, "error"]
    assert [p.source for p in answer.passages] == [str(tmp_path / "cats.md")]
    assert [c.valid for c in answer.citations] == [True, False]
    assert "L3: A cat sleeps fifteen hours." in answer.steps[0].result
    assert answer.steps[3].result == "1"
    assert "ZeroDivisionError" in answer.steps[4].result
    text = transcript_text_of(answer)
    assert "Plan:\n  [~] sleep" in text
    assert "Not among the sources: 【2†L1】" in text
    assert answer.provenance["passages"][0]["last_line"] == 3
    assert "[1] cats.md" in shown


def transcript_text_of(answer):
    from gptoss_magic.magics.show import transcript

    return transcript_text(transcript(answer))


def test_an_mcp_server_is_started_listed_used_and_stopped(shell):
    script = Path(__file__).parents[1] / "mcp_server.py"
    assert "nobody can be asked" in run(shell, f"%gptoss tools mcp {sys.executable} {script}")[1]
    line = f"%gptoss tools mcp --as small --yes {sys.executable} {script}"
    assert "server small: tools add, say_it, fail, wait" in run(shell, line)[1]
    assert "small.add" in run(shell, "%gptoss tools")[1]
    assert "runs already" in run(shell, line)[1]
    add = calling("add", '{"first": 2, "second": 3}')
    answer, _, _ = asked(shell, "--tool small", add, saying("x"))
    assert answer.steps[0].outcome == "refused"
    run(shell, "%gptoss tools allow small.add")
    answer, _, _ = asked(shell, "--tool small.add", add, saying("Five."))
    assert answer.steps[0].result == "5"
    assert "server small: stopped" in run(shell, "%gptoss tools stop small")[1]
    assert "no such name" in run(shell, "%%gptoss --tool small\nx")[1]


def test_completion_of_the_noun():
    assert "allow" in candidates("%gptoss tools al")
    assert "python" in candidates("%gptoss tools allow py")
    assert candidates("%%gptoss --tool pl") == ["plan"]


# ---- displays


def test_a_question_shows_everything_and_cannot_be_forged():
    made = Tool("send", "", {}, print, origin="MCP server \x1b[2Jx")
    shown = question(made, {"to": "a\u202eb", "text": "one\n\x1b[1A\rtwo", "n": [1]}, "repaired")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    for part in ("send (MCP server \\u001b[2Jx)", "a\\u202eb", "        one", "n = [1]"):
        assert part in shown
    assert visible("é\n字") == "é\n字"


def test_steps_read_as_html_and_text_and_are_never_markup():
    bad = "<script>alert(1)</script>"
    passage = Passage(1, "d", "a.md", "", 1, 1, bad)
    step = Step(
        1, ToolCall(bad, {bad: bad}, bad), "error", bad, bad, bad, 0.5, 0.25, bad, (passage,), bad
    )
    other = Step(2, ToolCall("f", None, "{x"), "unknown", "not run: …")
    shown = Transcript(analysis="Hm.", final="Done.", steps=(step, other))
    html, text = transcript_html(shown), transcript_text(shown)
    assert "<script" not in html
    assert html.count("<details") == 3
    assert "<details open" not in html
    assert html.index("no such tool") < html.index("Hm.") < html.index("Done.")
    for part in ("0.25 s · error", "2. f({x) · no such tool", "   -> not run: …", "Plan:\n"):
        assert part in text
