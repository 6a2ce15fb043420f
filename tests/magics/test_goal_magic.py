"""`%%gptoss_goal` and `%gptoss goal` in a shell and in a real kernel that is killed."""

import json
import signal

import pytest
from jupyter_client.manager import start_new_kernel

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.sources import read_rows
from tests.shell_cells import clean_session, run, tiny_shell

BODY = """
goals:
  найти: {text: Назови число, test: {function: check}}
  вдвое:
    text: Удвой
    test: int(answer) == 2 * int(results['найти'])
    after: найти
"""
CHECK = '''
def check(answer):
    """Whether it is a number."""
    return answer.isdigit(), f"{answer} is no number"
'''


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("goals"), 4096) as shell:
        shell.run_cell(CHECK)
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    with clean_session(monkeypatch, tmp_path / "data"):
        yield tiny


def asked(shell, cell, *script):
    """(what was shown, engine) of a cell that is answered from a script."""
    with scripted(current(), *script) as engine:
        result, shown = run(shell, cell)
        result.raise_error()
    return shown, engine


def test_a_cell_works_on_goals_until_their_tests_pass(shell):
    script = (saying("много"), saying("21"), saying("42"))
    shown, engine = asked(shell, f"%%gptoss_goal счёт -o board{BODY}", *script)
    assert shown.splitlines()[0].startswith("счёт: 2 of 2 done · ")
    assert "[x] найти · done: check(answer) is true · 2 tries" in shown
    assert "[x] вдвое (after найти) · done: " in shown
    assert shell.user_ns["board"].answers == {"найти": "21", "вдвое": "42"}
    shown, engine = asked(shell, f"%%gptoss_goal счёт{BODY}")
    assert ("2 of 2 done" in shown, engine.prompts) == (True, [])
    listed = run(shell, "%gptoss goal list")[1]
    assert "счёт" in listed
    assert "2 of 2" in listed
    assert "[x] найти" in run(shell, "%gptoss goal show счёт")[1]


def test_rows_of_goals_that_are_done(shell, tmp_path):
    asked(shell, f"%%gptoss_goal счёт{BODY}", saying("21"), saying("42", "Twice 21."))
    shown, _ = asked(shell, f"%gptoss goal rows счёт {tmp_path}/rows.jsonl")
    assert "2 rows written" in shown
    rows = read_rows(str(tmp_path / "rows.jsonl"), "", {})
    assert [row.messages[-1].content for row in rows] == ["21", "42"]


def test_what_worked_is_kept_as_procedures(shell):
    run(shell, "%gptoss memory on")
    assert "no journal has them" in str(run(shell, "%gptoss goal keep счёт")[0].error_in_exec)
    asked(shell, f"%%gptoss_goal счёт{BODY}", saying("many"), saying("21"), saying("42"))
    shown, _ = asked(shell, "%gptoss goal keep счёт")
    assert "2 procedures kept" in shown
    listed = run(shell, "%gptoss memory list --kind procedure")[1]
    assert "the answer “21” passed (check(answer) is true)" in listed
    assert "1 tries before it failed, the last: " in listed
    asked(shell, "%gptoss goal keep счёт")
    assert run(shell, "%gptoss memory list --kind procedure")[1].count("“42”") == 1


TICKED = "%%gptoss_goal p\ngoals:\n  a: {text: A poem, test: {tick: 'Is it good?'}}"


def test_a_tick_by_a_line_where_nobody_is_asked(shell):
    shown, _ = asked(shell, TICKED, saying("Rain."))
    assert "[=] a · blocked: it waits for your tick" in shown
    assert "ticked; run the cell again" in run(shell, "%gptoss goal tick p a")[1]
    shown, engine = asked(shell, TICKED)
    assert ("[x] a · done: ticked by the user" in shown, engine.prompts) == (True, [])
    with pytest.raises(InputError, match="goal a is done: it does not wait for a tick"):
        asked(shell, "%gptoss goal tick p a")


PLAN = {
    "goals": [
        {"name": "a", "text": "Find it", "after": [], "test": "check", "fields": []},
        {
            "name": "b",
            "text": "Say it",
            "after": ["a"],
            "test": "fields",
            "fields": [{"name": "n", "type": "number"}],
        },
    ]
}


def test_prose_is_planned_shown_and_run_only_where_the_user_agrees(shell):
    cell = "%%gptoss_goal w{}\nНайди число и скажи его."
    shown, engine = asked(shell, cell.format(""), saying(json.dumps(PLAN)))
    assert "function: check" in shown
    assert "nothing is run" in shown
    assert "Найди число" in engine.prompt_texts[0]
    assert len(engine.prompts) == 1
    script = (saying(json.dumps(PLAN)), saying("7"), saying('{"n": 7}'))
    shown, _ = asked(shell, cell.format(" --yes"), *script)
    assert "w: 2 of 2 done" in shown
    shown, engine = asked(shell, cell.format(""))  # agreed to already: it goes on
    assert ("2 of 2 done" in shown, engine.prompts) == (True, [])


@pytest.mark.parametrize("test", ["__import__('os').system('x')", "answer == 1", "shell"])
def test_prose_of_a_model_makes_no_code(shell, test):
    plan = {"goals": [{"name": "a", "text": "x", "after": [], "test": test, "fields": []}]}
    with pytest.raises(InputError, match="the model's goals cannot be used"):
        asked(shell, "%%gptoss_goal w --yes\nDo it.", saying(json.dumps(plan)))


WRONG = [
    ("%%gptoss_goal w\n \n", "the cell has no goals"),
    ("%%gptoss_goal\ngoals:", "name"),
    ("%%gptoss_goal w -L 0\ngoals:\n  a: {text: x, test: tick}", "lanes 0"),
    ("%%gptoss_goal w\ngoals:\n  a: {text: x, test: nosuch(answer)}", "nosuch is not defined"),
    ("%%gptoss_goal w\ngoals:\n  a: {text: x, test: tick, tools: nosuch}", "--tool nosuch"),
    ("%gptoss goal show nosuch", "no journal has them"),
    ("%gptoss goal hm", "no such command; there are list, show, tick, rows"),
]


@pytest.mark.parametrize(("cell", "words"), WRONG)
def test_a_wrong_cell_is_one_line_and_leaves_nothing(shell, cell, words):
    with pytest.raises(InputError) as error:
        asked(shell, cell)
    assert words in str(error.value)
    assert "no goals yet" in run(shell, "%gptoss goal list")[1]


def test_citations_of_an_index(shell, tmp_path):
    (tmp_path / "sea.md").write_text("# Море\n\nВ гавани сорок кораблей.\n")
    run(shell, f"%gptoss index {tmp_path}/sea.md --as sea --embedder words")
    cell = "%%gptoss_goal w -o board\nrag: sea\ngoals:\n"
    cell += "  a: {text: 'Сколько кораблей в гавани?', test: citations}"
    _, engine = asked(shell, cell, saying("Сорок."), saying("Сорок 【1†L3】."))
    assert "L3: В гавани сорок кораблей." in engine.prompt_texts[0]
    node = shell.user_ns["board"]["a"]
    assert [one.passed for one in node.tries] == [False, True]
    assert node.reason.startswith("cited: 【1†L3】 ")


def test_tools_of_goals_ask_as_ever(shell):
    cell = "%%gptoss_goal w -o board\ntools: [plan]\ngoals:\n  a: {text: x, test: 'True'}"
    asked(shell, cell, calling("plan", '{"goal": "x"}'), saying("So."))
    (turn,) = [t for t in current().conversations.turns.values() if t.answer.steps]
    assert turn.answer.steps[0].outcome == "refused"
    assert shell.user_ns["board"]["a"].state == "done"


def test_tab_knows_the_options_and_the_commands(shell):
    assert "--lanes" in candidates("%%gptoss_goal w --")
    assert candidates("%gptoss goal t") == ["tick"]


START = """
%load_ext gptoss_magic
%gptoss load {path}
import os, time
os.environ |= {{"XDG_DATA_HOME": {data!r}, "JPY_SESSION_NAME": "one.ipynb"}}
from gptoss_magic.scripted import scripted, saying
from gptoss_magic.session import current
def hang(_prompt):
    print("asked", flush=True)
    time.sleep(60)
def work(*script):
    with scripted(current(), *script) as engine:
        get_ipython().run_cell_magic("gptoss_goal", "poem -o board", BODY)
    return len(engine.prompts)
BODY = "goals:\\n  a: {{text: x, test: tick}}\\n  b: {{text: y, test: 'True', after: a}}"
"""


def started(start):
    manager, client = start_new_kernel(kernel_name="python3")
    execute(client, start)
    return manager, client


def execute(client, code, replies=()):
    """What a cell shows, its questions answered from `replies`."""
    shown, left = [], list(replies)

    def hook(message):
        content = message["content"]
        shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

    reply = client.execute_interactive(
        code,
        timeout=120,
        allow_stdin=True,
        output_hook=hook,
        stdin_hook=lambda _message: client.input(left.pop(0)),
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return shown


def test_a_killed_kernel_loses_nothing_that_was_decided(tmp_path):
    start = START.format(path=tiny_checkpoint(tmp_path / "tiny"), data=str(tmp_path / "data"))
    manager, client = started(start)
    try:
        client.execute("work(saying('Rain.'), hang)", allow_stdin=True)
        client.get_stdin_msg(timeout=60)
        client.input("y")
        while "asked" not in client.get_iopub_msg(timeout=60)["content"].get("text", ""):
            pass
        manager.signal_kernel(signal.SIGKILL)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    manager, client = started(start)
    try:
        shown = execute(client, "print('prompts', work(saying('Snow.')))")
        assert any("poem: 2 of 2 done" in one for one in shown)
        assert "prompts 1" in "".join(shown)
        said = "".join(execute(client, "print(board.answers)"))
        assert "{'a': 'Rain.', 'b': 'Snow.'}" in said
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_public_functions_are_there():
    assert {"goal", "goals", "goal_rows", "Goal", "GoalBoard"} <= set(gptoss_magic.__all__)
