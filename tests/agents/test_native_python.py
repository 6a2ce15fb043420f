"""`python` in its native form: a process that stays, and what it cannot do."""

import base64
import os
import platform
import signal
import socket
import threading
import time

import pytest

from gptoss_magic.agents.native_python import NOTHING, confined_limits, native_python
from gptoss_magic.agents.python import ProcessLimits
from gptoss_magic.agents.python_process import PythonProcess
from gptoss_magic.harmony.native import tools_section
from gptoss_magic.records import Step, ToolCall
from gptoss_magic.widgets.steps import steps_html

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux", reason="code is confined by seccomp, which is Linux's"
)


@pytest.fixture
def process():
    made = PythonProcess(confined_limits())
    yield made
    made.end()


def test_names_are_kept_between_calls(process):
    assert process.run("x = 6\nprint('hi')").output == "hi"
    assert process.run("x * 7").output == "42"
    assert process.run("_ + 1").output == "43"
    assert process.run("def f(n):\n    return n * x\nf(2)").output == "12"
    assert process.run("'луна'").output == "луна"


def test_an_error_is_told_with_its_line_and_ends_nothing(process):
    process.run("y = 1")
    told = process.run("def f():\n    return 1 / 0\nf()").output
    assert told.startswith("Traceback (most recent call last):")
    assert 'File "<call 2>", line 2, in f' in told
    assert "return 1 / 0" in told
    assert told.endswith("ZeroDivisionError: division by zero")
    assert "python_worker" not in told
    assert "SyntaxError" in process.run("x =").output
    assert process.run("import sys; sys.exit(3)").output == "SystemExit: 3"
    assert process.run("y").output == "1"


HARM = [
    "import socket; socket.socket()",
    "open('x', 'w')",
    "import os; os.mkdir('x')",
    "import subprocess; subprocess.run(['true'])",
    "import os; os.kill(os.getppid(), 9)",
    "import os; os.fork()",
]


@pytest.mark.parametrize("code", HARM)
def test_nothing_leaves_it_and_nothing_is_written(process, code):
    told = process.run(code).output
    assert "PermissionError" in told or "Operation not permitted" in told
    assert process.run("1 + 1").output == "2"


def test_a_machine_of_this_network_is_not_reached(process):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        code = f"import urllib.request as u\nu.urlopen('http://127.0.0.1:{port}/', timeout=2)"
        assert "Operation not permitted" in process.run(code).output
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_users_variables_are_not_there(process, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "abc")
    assert process.run("import os; os.environ.get('SECRET_KEY')").output == ""


def test_time_interrupts_and_keeps_what_is_defined():
    process = PythonProcess(ProcessLimits(seconds=1.0, is_confined=True))
    try:
        process.run("z = 5")
        told = process.run("print('begun')\nwhile True: pass").output
        assert told == "begun\nKeyboardInterrupt\n[interrupted after 1 s]"
        assert process.run("z").output == "5"
        deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
        assert "what was defined is gone" in process.run(deaf).output
        assert "NameError" in process.run("z").output
    finally:
        process.end()


def test_memory_is_bounded_and_a_crash_begins_anew(process):
    assert "MemoryError" in process.run("b = b'x' * 10**10").output
    told = process.run("import ctypes; ctypes.string_at(0)").output
    assert told == "[the process ended by status -11; what was defined is gone]"
    assert process.run("1 + 1").output == "2"


def test_much_output_is_cut_in_the_middle(process):
    told = process.run("for n in range(100000): print(n)").output
    assert len(told) < 25_000
    assert "[…]" in told
    assert process.run("'short'").output == "short"


def test_stop_interrupts_the_code_and_the_process_stays(process):
    process.run("w = 1")

    def press_stop():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_stop).start()
    with pytest.raises(KeyboardInterrupt):
        process.run("import time; time.sleep(20)")
    assert process.run("w").output == "1"


def test_a_frame_shows_its_first_rows(process):
    pytest.importorskip("pandas")
    done = process.run("import pandas as pd\npd.DataFrame({'a': range(50), 'b': '<i>'})")
    (frame,) = done.frames
    assert (frame.size, len(frame.rows)) == ((50, 2), 20)
    step = Step(1, ToolCall("python", {"code": "x"}, "x"), "result", "x", frames=done.frames)
    html = steps_html([step])
    assert "<td>&lt;i&gt;</td>" in html
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


def test_a_figure_is_shown_and_what_is_no_picture_is_not(process):
    """Whatever draws it: what the process says is a picture must be one."""
    done = process.run(FAKE.format(png=PNG))
    assert base64.b64decode(done.figures[0])[:4] == b"\x89PNG"
    step = Step(1, ToolCall("python", {"code": "x"}, "x"), "result", "x", figures=done.figures)
    assert f'src="data:image/png;base64,{PNG}"' in steps_html([step])
    evil = base64.b64encode(b"<svg onload='x()'>" * 4).decode()
    assert process.run(FAKE.format(png=evil)).figures == ()


def test_code_that_answers_for_the_process_breaks_nothing(process):
    lies = ['{"ended": "done", "figures": [7, "x"], "frames": [{"rows": 3}]}', "no json", "{}"]
    for lie in lies:
        code = f"import os, sys\nos.write(int(sys.argv[2]), {lie.encode() + bytes([10])!r})"
        done = process.run(code)
        assert (done.figures, done.frames) == ((), ())
        process.end()
    assert process.run("1").output == "1"


def test_the_tool_takes_code_as_it_stands(process):
    tool = native_python(process)
    assert tool.is_raw
    assert tool.function(**tool.check({"code": "print('<|end|> 【1†L2】')"})).text == (
        "< |end| > [1+L2]"
    )
    assert tool.function(code="x = 1").text == NOTHING
    with pytest.raises(ValueError, match="there is no code"):
        tool.check({"code": " "})
    section = tools_section([tool.spec])
    assert section.startswith(
        "# Tools\n\n## python\n\nUse this tool to execute Python code in your"
    )
    assert "namespace" not in section
