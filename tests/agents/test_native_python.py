"""`python` in its native form: processes that stay, what they cannot do, and what is shown."""

import base64
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gptoss_magic.agents import python_process
from gptoss_magic.agents.native_python import NOTHING, native_python
from gptoss_magic.agents.python import ProcessLimits
from gptoss_magic.agents.python_process import ANEW, PythonProcess, PythonProcesses
from gptoss_magic.agents.python_reply import frames_of
from gptoss_magic.errors import InputError
from gptoss_magic.harmony.native import tools_section
from gptoss_magic.records import CodeRun, FrameHead, Step, ToolCall
from gptoss_magic.widgets.steps import steps_html, steps_text

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux", reason="code is confined by seccomp, which is Linux's"
)
LIMITS = ProcessLimits(is_confined=True)
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"


@pytest.fixture
def process():
    made = PythonProcess(LIMITS)
    yield made
    made.end()


@pytest.fixture
def processes():
    made = PythonProcesses()
    yield made
    made.end()


def said(process, code):
    return process.run(code).output


def test_names_are_kept_between_calls(process):
    assert said(process, "x = 6\nprint('hi')") == "hi"
    assert said(process, "x * 7") == "42"
    assert said(process, "_ + 1") == "43"
    assert said(process, "def f(n):\n    return n * x\nf(2)") == "12"
    assert said(process, "'луна'") == "луна"
    assert said(process, "import sys; print('err', file=sys.stderr)\nprint('out')").split() == [
        "err",
        "out",
    ]


def test_the_code_is_the_main_module_and_sees_nothing_of_the_worker(process):
    assert said(process, "__name__, sorted(n for n in dir() if n[0] != '_')") == "('__main__', [])"
    code = (
        "from dataclasses import dataclass\nfrom typing import get_type_hints\n"
        "@dataclass\nclass P:\n    x: 'int' = 3\nimport pickle\n"
        "pickle.loads(pickle.dumps(P())), get_type_hints(P)"
    )
    assert said(process, code) == "(P(x=3), {'x': <class 'int'>})"
    assert "EOFError" in said(process, "input()")
    assert said(process, "import sys; sys.argv, sys.stdin.read()") == "([''], '')"


def test_an_error_is_told_with_its_line_and_ends_nothing(process):
    process.run("y = 1")
    told = said(process, "def f():\n    return 1 / 0\nf()")
    assert told.startswith("Traceback (most recent call last):")
    assert 'File "<call 2>", line 2, in f' in told
    assert "return 1 / 0" in told
    assert told.endswith("ZeroDivisionError: division by zero")
    assert "python_worker" not in told
    assert "SyntaxError" in said(process, "x =")
    assert said(process, "import sys; sys.exit(3)") == "SystemExit: 3"
    assert "UnicodeEncodeError" in said(process, "x = 'a\ud800b'")
    assert said(process, "y") == "1"


HARM = [
    "import socket; socket.socket()",
    "open('x', 'w')",
    "import os; os.mkdir('x')",
    "import os; os.remove('/etc/hostname')",
    "import subprocess; subprocess.run(['true'])",
    "import os; os.kill(os.getppid(), 9)",
    "import os; os.fork()",
    "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
]


@pytest.mark.parametrize("code", HARM)
def test_nothing_leaves_it_and_nothing_is_written(process, code):
    told = said(process, code)
    assert "Operation not permitted" in told
    assert said(process, "1 + 1") == "2"


def test_a_machine_of_this_network_is_not_reached(process):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        code = f"import urllib.request as u\nu.urlopen('http://127.0.0.1:{port}/', timeout=2)"
        assert "Operation not permitted" in said(process, code)
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_users_variables_are_not_there(process, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "abc")
    assert said(process, "import os; os.environ.get('SECRET_KEY')") == ""


def test_its_time_interrupts_and_keeps_what_is_defined(process):
    process.limits = replace(LIMITS, seconds=1.0)
    assert said(process, "z = 5") == ""
    told = said(process, "print('begun')\nwhile True: pass")
    assert told == "begun\nKeyboardInterrupt\n[interrupted after 1 s]"
    assert said(process, "z") == "5"
    told = said(process, DEAF)
    assert told == f"[stopped after 1 s; it did not heed the interrupt: {python_process.GONE}]"
    assert "NameError" in said(process, "z"), "and that is said once"


def test_memory_is_bounded_and_a_crash_begins_anew(process):
    assert "MemoryError" in said(process, "b = b'x' * 10**10")
    told = said(process, "import ctypes; ctypes.string_at(0)")
    assert told == f"[the process ended by signal SIGSEGV: {python_process.GONE}]"
    assert "status 3" in said(process, "import os; os._exit(3)")
    assert said(process, "1 + 1") == "2"


def test_a_process_that_ended_between_two_calls_is_told_of(process):
    assert said(process, "import os, threading\nthreading.Timer(0.3, os._exit, [1]).start()") == ""
    time.sleep(1)
    assert said(process, "1 + 1") == f"{ANEW}\n2"
    assert said(process, "2 + 2") == "4"


def test_much_output_is_cut_in_the_middle(process):
    told = said(process, "for n in range(100000): print(n)")
    assert len(told) < 25_000
    assert "[…]" in told
    assert said(process, "'short'") == "short"


def test_more_output_than_there_is_room_for_ends_no_process():
    """As a full disk does: what cannot be written is lost, and that is said."""
    process = PythonProcess(replace(LIMITS, file=1 << 16))
    try:
        process.run("kept = 7")
        told = said(process, "while True: print('x' * 1000)")
        assert "[the rest of its output is lost: there is no room for more]" in told
        assert len(told) < 25_000
        assert said(process, "print('again')\nkept") == "again\n7"
    finally:
        process.end()


def test_where_no_folder_can_be_made_it_says_so(process, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match="python cannot start: No such file"):
        process.run("1")
    assert not process.is_running


def test_where_nothing_confines_nothing_runs(processes, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(InputError, match="python:kernel runs it in this kernel"):
        native_python(processes, "x", 60.0)


def pressed_after(seconds):
    def press_stop():
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_stop).start()


def test_stop_interrupts_the_code_and_the_process_stays(process):
    process.run("w = 1")
    pressed_after(0.5)
    with pytest.raises(KeyboardInterrupt):
        process.run("import time; time.sleep(20)")
    assert said(process, "w") == "1"


def test_stop_ends_code_that_does_not_heed_it_and_the_next_call_says_so(process):
    process.run("w = 1")
    pressed_after(0.5)
    pressed_after(1.5)
    with pytest.raises(KeyboardInterrupt):
        process.run(DEAF)
    assert not process.is_running
    assert said(process, "'on'") == f"{ANEW}\non"


def test_threads_that_go_on_and_late_words_confuse_nothing(process):
    code = "import threading, time\nthreading.Timer(0.3, lambda: print('late')).start()"
    assert said(process, code) == ""
    assert said(process, "time.sleep(1)\n'now'") == "late\nnow"


def test_a_process_is_found_by_what_it_ran(processes):
    tool = native_python(processes, "talk", 60.0)
    steps = []

    def call(code):
        result = tool.function(code=code, steps=steps)
        steps.append(
            Step(1, ToolCall("python", None, code), "result", "", code_run=result.code_run)
        )
        return result.text

    call("x = 1")
    call("x = 2")
    assert call("x") == "2"
    del steps[1:]  # the conversation was taken back
    told = call("x")
    assert told.startswith(f"{ANEW}\nTraceback")
    assert "NameError" in told
    assert len(processes.held) == 2
    other = native_python(processes, "another talk", 60.0)
    assert "NameError" in other.function(code="x", steps=()).text


def test_two_lanes_that_begin_alike_have_a_process_each(processes):
    lanes = [native_python(processes, "goals", 60.0) for _ in range(2)]
    first = [lane.function(code="x = [0]", steps=()) for lane in lanes]
    steps = [
        Step(1, ToolCall("python", None, ""), "result", "", code_run=one.code_run) for one in first
    ]
    assert lanes[0].function(code="x.append(1); x", steps=steps[:1]).text == "[0, 1]"
    assert lanes[1].function(code="x", steps=steps[1:]).text == "[0]"


def test_few_processes_are_kept_and_the_oldest_goes_first(processes):
    tools = [native_python(processes, f"talk {n}", 60.0) for n in range(5)]
    runs = [tool.function(code=f"x = {n}", steps=()).code_run for n, tool in enumerate(tools)]
    assert len(processes.held) == python_process.MOST_PROCESSES
    steps = [Step(1, ToolCall("python", None, ""), "result", "", code_run=run) for run in runs]
    again = [
        native_python(processes, f"talk {n}", 60.0).function(code="x", steps=[steps[n]]).text
        for n in (4, 0)
    ]
    assert again[0] == "4"
    assert again[1].startswith(ANEW)


def test_each_call_has_a_process_of_its_own_where_that_is_wanted(processes):
    tool = native_python(processes, "talk", 60.0, is_kept=False)
    assert tool.function(code="x = 1\nx").text == "1"
    assert "NameError" in tool.function(code="x").text
    assert processes.held == []
    assert "nothing is kept between calls" in tool.space


def test_a_frame_shows_its_first_rows(process):
    pytest.importorskip("pandas")
    done = process.run("import pandas as pd\npd.DataFrame({'a': range(50), 'b': '<i>'})")
    (frame,) = done.frames
    assert (frame.size, len(frame.rows), frame.columns) == ((50, 2), 20, ("", "a", "b"))
    html = steps_html([step_of(done)])
    assert "&lt;i&gt;</td>" in html
    assert "50 rows × 2 columns" in html


FAKE = """
import sys, types, base64
class Figure:
    def savefig(self, into, **how):
        into.write(base64.b64decode({png!r}))
pyplot = types.ModuleType("matplotlib.pyplot")
pyplot.get_fignums, pyplot.figure, pyplot.close = lambda: [1], lambda n: Figure(), lambda n: None
sys.modules["matplotlib.pyplot"] = pyplot
"""
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


def step_of(run):
    return Step(1, ToolCall("python", {"code": "x"}, "x"), "result", "x", code_run=run)


def test_a_figure_is_shown_and_what_is_no_picture_is_not(processes, process):
    """Whatever draws it: what the process says is a picture must be one."""
    result = native_python(processes, "x", 60.0).function(code=FAKE.format(png=PNG))
    assert base64.b64decode(result.code_run.figures[0])[:4] == b"\x89PNG"
    assert result.text == "[1 figure shown to the user]"
    step = step_of(result.code_run)
    assert f'src="data:image/png;base64,{PNG}"' in steps_html([step])
    assert "[figure 1]" in steps_text([step])
    evil = base64.b64encode(b"<svg onload='x()'>" * 4).decode()
    assert process.run(FAKE.format(png=evil)).figures == ()


def test_a_figure_of_matplotlib(process):
    pytest.importorskip("matplotlib")
    done = process.run("import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()")
    assert len(done.figures) == 1
    assert "Error" not in done.output


LIES = [
    {"ended": "done", "figures": [7, "x"], "frames": [{"rows": 3}]},
    {"ended": "done", "frames": [{"columns": ["a"], "rows": [["1", "2"]], "size": [1, 1]}]},
    {"ended": "done", "frames": [{"columns": ["a"], "rows": [["1"]], "size": ["x", 1]}]},
    {},
    [],
]


@pytest.mark.parametrize("lie", LIES)
def test_code_that_answers_for_the_process_breaks_nothing(process, lie):
    """It finds the descriptor, and the number of its piece: the word is taken for its own."""
    process.run("1")
    told = {"number": 2, **lie} if isinstance(lie, dict) else lie
    line = json.dumps(told).encode() + b"\nno json\n"
    write = f"try: os.write(n, {line!r})\n    except OSError: pass"
    code = f"import os\nfor n in range(3, 64):\n    {write}"
    done = process.run(code)
    assert (done.figures, done.frames) == ((), ())
    assert said(process, "'fine'") == "fine"


def test_a_frame_of_a_lie_is_bounded():
    big = {"columns": ["c" * 999] * 99, "rows": [["r" * 999] * 99] * 99, "size": [10**9, 2]}
    (frame,) = frames_of({"frames": [big, big]})
    assert isinstance(frame, FrameHead)
    assert (len(frame.columns), len(frame.rows), len(frame.rows[0][0])) == (13, 20, 80)


def test_the_tool_takes_code_as_it_stands(processes):
    tool = native_python(processes, "x", 60.0)
    assert tool.is_raw
    shown = tool.function(**tool.check({"code": "print('<|end|> 【1†L2】')"})).text
    assert shown == "< |end| > [1+L2]"
    done = tool.function(code="x = 1", steps=())
    assert (done.text, done.code_run) == (NOTHING, CodeRun("x = 1", ""))
    for empty in (" ", 3, None):
        with pytest.raises(ValueError, match="there is no code"):
            tool.check({"code": empty})
    section = tools_section([tool.spec])
    assert section.startswith(
        "# Tools\n\n## python\n\nUse this tool to execute Python code in your"
    )
    assert "54 seconds" in section
    assert "namespace" not in section


def test_a_kernel_that_is_killed_leaves_no_process(tmp_path):
    script = (
        "import sys, time\nfrom gptoss_magic.agents.python_process import *\n"
        "p = PythonProcess(ProcessLimits(is_confined=True))\n"
        "print(p.run('import os; os.getpid()').output, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as kernel:
        pid = int(kernel.stdout.readline())
        kernel.kill()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
