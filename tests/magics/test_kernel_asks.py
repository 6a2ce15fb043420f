"""What a real kernel asks the user, and what follows from each reply: tools, a reflection, ■."""

import pytest
from jupyter_client.manager import start_new_kernel

from gptoss_magic.sharing.notebooks import MIME
from gptoss_magic.testing import tiny_checkpoint
from tests.tool_cases import served

START = """
%load_ext gptoss_magic
%gptoss load {path}
from gptoss_magic.scripted import scripted, calling, saying
from gptoss_magic.session import current
import os, time, signal
os.environ |= {{"XDG_DATA_HOME": {data!r}, "JPY_SESSION_NAME": "one.ipynb"}}
called = []
def get_weather(city: str) -> str:
    "The weather in a city."
    called.append(city)
    return "snow in " + city
def press_stop() -> str:
    "Wait long."
    called.append("stop")
    time.sleep(30)
shell = get_ipython()
def ask(tool, *script):
    with scripted(current(), *script):
        shell.run_cell_magic("gptoss", f"-n -o a --tool {{tool}}", "Hello")
def reflect(*script, line=""):
    with scripted(current(), *map(saying, script)) as engine:
        shell.run_line_magic("gptoss", "reflect " + line)
    return len(engine.prompts)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    manager, client = start_new_kernel(kernel_name="python3")
    start = START.format(path=tiny_checkpoint(folder / "tiny"), data=str(folder / "data"))
    execute(client, start)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client, code, replies=None):
    """(messages, prompts) of a cell whose questions get `replies` (None: no input is taken)."""
    messages, prompts, left = [], [], list(replies or ())

    def on_stdin(message):
        prompts.append(message["content"]["prompt"])
        client.input(left.pop(0))

    reply = client.execute_interactive(
        code,
        timeout=120,
        allow_stdin=replies is not None,
        output_hook=messages.append,
        stdin_hook=on_stdin if replies is not None else None,
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return messages, prompts


def value(client, expression):
    messages, _ = execute(client, f"print(repr(({expression})))")
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream").strip()


TWO = """ask("get_weather", calling("get_weather", '{"city": "Oslo"}'), """
TWO += """calling("get_weather", '{"city": "Bern"}'), saying("ok"))"""


@pytest.mark.parametrize(
    ("replies", "ran", "num_asked"),
    [
        (["y", "n"], ["Oslo"], 2),
        (["what?", "Y", "no"], ["Oslo"], 3),
        (["a"], ["Oslo", "Bern"], 1),
        (None, [], 0),
    ],
)
def test_a_kernel_asks_before_each_call(kernel, replies, ran, num_asked):
    _, client = kernel
    execute(client, "current().policies.forget(); called.clear()")
    messages, prompts = execute(client, TWO, replies)
    assert len(prompts) == num_asked
    assert value(client, "called") == repr(ran)
    printed = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert ('city = "Oslo"' in printed) == bool(num_asked)
    last = [m for m in messages if m["msg_type"] == "update_display_data"][-1]
    assert set(last["content"]["data"]) == {"text/html", "text/plain", MIME}
    assert "gptoss-step" in last["content"]["data"]["text/html"]


def test_stop_reaches_a_tool_in_a_kernel(kernel):
    _, client = kernel
    execute(client, "current().policies.forget(); called.clear()")
    execute(client, "shell.run_line_magic('gptoss', 'tools allow press_stop')")
    code = "from threading import Timer\nimport os\n"
    code += "Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
    code += """ask("press_stop", calling("press_stop", ""), saying("x"))"""
    execute(client, code)
    assert value(client, "called, a.finish, a.steps[0].outcome") == (
        "(['stop'], 'interrupt', 'interrupt')"
    )
    assert value(client, "[m.role for m in current().conversations.messages('default')]") == (
        "['user', 'assistant', 'tool']"
    )


ASKED = """
shell.run_line_magic("gptoss", "memory on")
shell.run_line_magic("gptoss", "memory forget --all")
with scripted(current(), saying("Paris is nice.")):
    shell.run_cell_magic("gptoss", "-n -q", "What is the capital of France?")
"""
REFLECT = "num_prompts = reflect('It does not answer.', 'The capital is Paris.')"
STATE = """(
    [m.content for m in current().conversations.messages("default")][1:],
    current().last.final,
    current().proposal is None,
    [item.text.split("assistant: ")[1] for item in memory_of().items(kind="episode")],
)"""
OLD, NEW = "Paris is nice.", "The capital is Paris."


@pytest.mark.parametrize(
    ("reply", "said"),
    [("y", NEW), ("YES ", NEW), ("n", OLD), ("", OLD), ("what?", OLD)],
)
def test_a_kernel_asks_before_a_proposal_is_taken(kernel, reply, said):
    _, client = kernel
    execute(client, "from gptoss_magic.turns.recall import memory_of" + ASKED)
    messages, prompts = execute(client, REFLECT, [reply])
    printed = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert "Take the proposal in place of the answer?" in printed
    assert len(prompts) == 1
    shown = next(m for m in messages if m["msg_type"] == "display_data")["content"]["data"]
    for part in (OLD, "It does not answer.", NEW):
        assert part in shown["text/html"]
        assert part in shown["text/plain"]
    assert value(client, STATE) == repr(([said], said, said == NEW, [said]))
    if said == OLD:  # what was shown can still be taken, and the model is not asked again
        execute(client, "num_prompts = reflect(line='--accept')")
        assert value(client, f"({STATE}, num_prompts)") == repr((([NEW], NEW, True, [NEW]), 0))


@pytest.mark.parametrize(
    ("reply", "said"), [("n", "not started"), ("y", "server far: tools add, say_it, fail, wait")]
)
def test_a_kernel_asks_before_another_host_is_reached(kernel, reply, said):
    _, client = kernel
    with served() as url:
        other = url.replace("127.0.0.1", "0.0.0.0")  # not by a name of this machine
        messages, prompts = execute(client, f"%gptoss tools mcp --as far {other}", [reply])
        execute(client, "%gptoss tools stop")
    printed = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    for part in (other, "not on this machine", said):
        assert part in printed
    assert len(prompts) == 1
