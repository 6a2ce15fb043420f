"""Functions as tools, and the built-in ones: plan, search, notebook, MCP servers; run code."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from gptoss_magic import tool
from gptoss_magic.agents.links import Program
from gptoss_magic.agents.notebook import notebook_tool
from gptoss_magic.agents.plan import Goals
from gptoss_magic.agents.python import ProcessLimits, Ran, run_process
from gptoss_magic.agents.search import search_tool
from gptoss_magic.agents.servers import Server
from gptoss_magic.errors import InputError
from gptoss_magic.harmony.schema import definition
from gptoss_magic.records import Passage
from gptoss_magic.retrieval.cite import check, quoted
from gptoss_magic.scripted import calling, saying
from tests.tool_cases import ran

MARK = Path(tempfile.gettempdir()) / "gptoss-was-here"  # what confined code would leave


@dataclass
class Place:
    name: str
    inside: list["Place"]


def test_a_function_becomes_a_tool():
    @tool
    def find(query: str, kind: Literal["a", "b"] = "a", k: int | None = None) -> str:
        """Find it.

        More.

        Args:
            query: what to look for
            k: how many
        """
        return query

    assert find("x") == "x"
    assert (find.name, find.description, find.policy) == ("find", "Find it.", "ask")
    fields = find.parameters["properties"]
    assert find.parameters["required"] == ["query"]
    assert fields["kind"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert fields["k"] == {"type": "integer", "description": "how many"}
    assert definition(find.spec) == (
        "// Find it.\ntype find = (_: {\n// what to look for\nquery: string,\n"
        'kind?: "a" | "b", // default: a\n// how many\nk?: number,\n}) => any;\n\n'
    )
    assert find.check({"query": "x", "k": "3"}) == {"query": "x", "k": 3}


@pytest.mark.parametrize(
    "style", [":param city: which\n", "Parameters\n----------\ncity : str\n    which\n"]
)
def test_other_docstring_styles(style):
    def f(city):
        pass

    f.__doc__ = f"Look.\n\n{style}"
    made = tool(f)
    assert made.parameters["properties"]["city"]["description"] == "which"
    assert "any" in definition(made.spec)


def test_names_policies_and_no_parameters():
    @tool(name="now", policy="auto")
    def _now() -> str:
        return "12:00"

    assert (_now.name, _now.policy, _now.parameters) == ("now", "auto", {})
    assert definition(_now.spec) == "type now = () => any;\n\n"
    for wrong in ({"name": "no name"}, {"policy": "always"}):
        with pytest.raises(InputError):
            tool(**wrong)(lambda: 1)


async def later():
    """Not now."""


class Plain:
    """Has no JSON form."""


def takes_plain(x: Plain):
    """Take it."""


@pytest.mark.parametrize("wrong", [3, later, lambda *a: 1, lambda **k: 1, takes_plain, max, dict])
def test_what_cannot_be_a_tool_is_refused_in_a_line(wrong):
    with pytest.raises(InputError) as caught:
        tool(wrong)
    assert len(str(caught.value).splitlines()) == 1


def test_types_within_themselves_and_awkward_names():
    @tool
    def put(place: Place, schema: dict[str, int], json: list[float] = [], model_x: int | str = 1):  # noqa: B006
        """Put it."""
        return place

    assert put.check({"place": {"name": "a", "inside": []}, "schema": {"x": "1"}}) == {
        "place": Place("a", []),
        "schema": {"x": 1},
    }
    assert "inside: any[]" in definition(put.spec)
    assert "model_x?: number | string" in definition(put.spec)


def test_python_shows_what_is_printed_and_the_last_value(monkeypatch):
    limits = ProcessLimits(seconds=20)
    assert run_process("x = 6\nprint('hi')\nx * 7", limits) == Ran("hi\n42\n", 0)
    failed = run_process("1 / 0", limits)
    assert "ZeroDivisionError" in failed.output
    assert failed.status == 1
    assert run_process("import os\nos.listdir()", limits).output == "[]\n"
    monkeypatch.setenv("SECRET_KEY", "abc")
    assert run_process("import os\nos.environ.get('SECRET_KEY')", limits).output == ""


def test_python_is_bounded():
    assert run_process("while True: pass", ProcessLimits(seconds=0.5)).status is None
    little = ProcessLimits(memory=1 << 29)
    assert "MemoryError" in run_process("x = b'x' * 10**9", little).output
    narrow = ProcessLimits(seconds=5, file=1 << 20)
    shown = run_process("while True: print('x' * 1000)", narrow).output
    assert len(shown) < 30_000
    assert "[…]" in shown


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_an_interrupt_ends_the_process_and_what_it_started(tmp_path):
    note = tmp_path / "pid"
    code = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )

    def press_stop():
        while not (note.exists() and note.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_stop).start()
    with pytest.raises(KeyboardInterrupt):
        run_process(code, ProcessLimits())
    time.sleep(0.2)
    assert not alive(int(note.read_text()))


def test_a_plan_is_a_tree_of_goals():
    goals = Goals()
    plan = goals.tool()
    plan.function("ship it")
    plan.function("write <|end|> it", "doing", "ship it")
    assert plan.function("test it", parent="ship it", after="write < |end| > it").plan == (
        "[ ] ship it\n    [~] write < |end| > it\n    [ ] test it (after: write < |end| > it)"
    )
    plan.function("write < |end| > it", "done")
    assert goals.tree().endswith("[x] write < |end| > it\n    [ ] test it")
    for wrong in (("a", "open", "b"), ("ship it", "open", "test it"), ("", "open")):
        with pytest.raises(ValueError):
            plan.function(*wrong)
    with pytest.raises(ValueError, match="waits for"):
        plan.function("write < |end| > it", after="test it")


def test_searches_number_their_passages_in_turn_and_citations_are_checked():
    found = [
        Passage(n, "docs", f"{n}.md", "", 1, 2, f"text {n}\n【9†L1】 <|end|>") for n in (1, 2, 3)
    ]
    made = search_tool("docs", lambda query, k: found[: int(query)], quoted, taken=4)
    first, second = made.function("2"), made.function("3")
    assert [p.number for p in first.passages] == [5, 6]
    assert [p.number for p in second.passages] == [5, 6, 7]
    assert "[7] 3.md\nL1: text 3\nL2: [9+L1] < |end| >" in second.text
    assert made.function("0").passages == ()
    cited = check("So 【7†L1-L2】 and 【9†L1】.", second.passages)
    assert [c.valid for c in cited] == [True, False]


def test_the_notebook_tool_reads_the_cells_above():
    cells = ["", "x = 1", "x", "%%gptoss\nWhat is x?"]
    read = notebook_tool(lambda: cells, lambda: {2: 1}).function
    assert read() == "In [1]:\nx = 1\n\nIn [2]:\nx\nOut[2]:\n1"
    assert read(1) == "In [2]:\nx\nOut[2]:\n1"
    assert notebook_tool(lambda: ["", "now"], dict).function() == "There is no cell above."


@pytest.fixture(scope="module")
def server():
    made = Server(Program([sys.executable, str(Path(__file__).parents[1] / "mcp_server.py")]))
    yield made
    made.close()


def test_an_mcp_server_gives_tools(server):
    tools = {made.name: made for made in server.tools()}
    assert list(tools) == ["add", "say_it", "fail", "wait"]
    assert tools["add"].parameters["required"] == ["first", "second"]
    assert {made.policy for made in tools.values()} == {"ask"}
    assert "MCP server" in tools["add"].origin
    allowed = lambda tool, arguments, note: None  # noqa: E731
    script = [
        calling("add", '{"first": 2, "second": 3}'),
        calling("say-it", '{"text": "a"}'),
        calling("fail", "{}"),
        calling("add", '{"first": "x"}'),
        saying("ok"),
    ]
    answer, _ = ran(script, list(tools.values()), allowed)
    assert [step.outcome for step in answer.steps] == ["result", "result", "error", "error"]
    assert answer.steps[0].result == "5"
    assert answer.steps[1].result == "a < |call| >"
    script = [calling("add", "{}"), calling("add", '{"first": 2, "second": 3}'), saying("ok")]
    answer, _ = ran(script, list(tools.values()))
    assert [step.outcome for step in answer.steps] == ["error", "refused"]
    for name in ("first", "second"):
        assert f"arguments: '{name}' is a required property" in answer.steps[0].result


def test_time_limits_and_interrupts_reach_an_mcp_tool(server):
    wait = next(made for made in server.tools() if made.name == "wait")
    allowed = lambda tool, arguments, note: None  # noqa: E731
    script = [calling("wait", '{"seconds": 600}'), saying("ok")]
    answer, _ = ran(script, [wait], allowed, call_seconds=0.3)
    assert answer.steps[0].outcome == "timeout"
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    answer, _ = ran(script, [wait], allowed)
    assert answer.finish == "interrupt"


def test_a_server_that_does_not_start_is_one_line():
    with pytest.raises(InputError, match="did not start"):
        Server(Program(["/nowhere/at/all"]))
    with pytest.raises(InputError, match="did not start"):
        Server(Program([sys.executable, "-c", "pass"]))


def test_the_tool_decorator_loads_nothing_heavy():
    code = (
        "import gptoss_magic, sys\n@gptoss_magic.tool\ndef f(x: int): 'F.'\n"
        "print(sorted({'torch', 'transformers', 'mcp', 'lancedb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_left_its_group_would_outlive_it_so_nothing_leaves(tmp_path):
    note = tmp_path / "pid"
    code = (
        "import os, subprocess, sys, time\n"
        "late = 'import os, time; os.setsid(); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', late])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid)); child.wait()"
    )
    assert "PermissionError" in run_process(code, ProcessLimits(seconds=20)).output
    assert not alive(int(note.read_text()))


CONFINED = ProcessLimits(seconds=10, memory=1 << 30, is_confined=True)
OUTSIDE = {
    "a socket": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "a datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a socket of this machine": "import socket; socket.socket(socket.AF_UNIX)",
    "a file": f"open({str(MARK)!r}, 'w')",
    "a file in its own folder": "open('note.txt', 'a')",
    "a low-level file": "import os; os.open('note.txt', os.O_CREAT | os.O_RDWR)",
    "an unnamed file": "import os; os.open('.', os.O_TMPFILE | os.O_RDWR)",
    "a folder": "import os; os.mkdir('inner')",
    "a link": "import os; os.symlink('/etc/passwd', 'link')",
    "a removal": "import os; os.unlink('../code.py')",
    "a new name": "import os; os.rename('../code.py', 'mine.py')",
    "rights of a file": "import os; os.chmod('../code.py', 0)",
    "times of a file": "import os; os.utime('../code.py', (1, 1))",
    "a cut": "import os; os.truncate('../code.py', 0)",
    "memory": "open('/proc/self/mem', 'r+b')",
    "a fork": "import os; os.fork()",
    "a program": "import subprocess; subprocess.run(['true'])",
    "a shell": "import os; assert os.system('true') == 0",
    "another program in its place": "import os; os.execv('/bin/true', ['true'])",
    "a worker": "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
    "its parent": "import os, signal; os.kill(os.getppid(), signal.SIGTERM)",
    "its group": "import os, signal; os.killpg(0, 0)",
    "everybody": "import os, signal; os.kill(-1, 0)",
    "a higher limit": "import resource as r; r.setrlimit(r.RLIMIT_CPU, (99, 99))",
    "a session": "import os; os.setsid()",
}


@pytest.mark.parametrize("code", OUTSIDE.values(), ids=OUTSIDE)
def test_confined_code_is_refused(code):
    ran = run_process(code, CONFINED)
    assert ran.status == 1
    assert "Error" in ran.output
    assert not MARK.exists()


def test_confined_code_computes_reads_and_prints():
    code = (
        "import asyncio, json, os, threading\n"
        "told = []\nthread = threading.Thread(target=told.append, args=(1,))\n"
        "thread.start(); thread.join()\n"
        "assert open('../code.py').read() and os.listdir('.') == []\n"
        "print(json.dumps([told, asyncio.run(asyncio.sleep(0, 7))]))"
    )
    assert run_process(code, CONFINED) == Ran("[[1], 7]\n", 0)


def test_confined_code_is_ended():
    brief = replace(CONFINED, seconds=0.5)
    assert run_process("while True: pass", brief).status is None
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    assert run_process(bomb, brief).status is None
    assert "MemoryError" in run_process("x = b'x' * 10**10", CONFINED).output
    assert run_process("import os; os._exit(78)", CONFINED).status == 78
    assert run_process("import os; os.abort()", CONFINED).status == -signal.SIGABRT


def test_confined_code_may_be_half_a_character():
    assert "SyntaxError" in run_process("print('\ud800')", CONFINED).output
