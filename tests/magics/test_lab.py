"""What the kernel tells the JupyterLab extension: one comm, while a cell runs too."""

import time

import pytest
from jupyter_client.manager import start_new_kernel

from gptoss_magic.magics.lab import MAX_POINTS, all_runs, curve_of
from gptoss_magic.records import StepMetrics
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.methods import settings_of
from gptoss_magic.tuning.runs import Run
from gptoss_magic.tuning.settings import TrainSettings

NAME = "gptoss-panel"
PATIENCE_S = 60
# without the former test's model: with it the first state, before the load, is of a model at rest
ANEW = """%reset -f
%load_ext gptoss_magic
%unload_ext gptoss_magic
import gptoss_magic
gptoss_magic.unload()"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    path = tiny_checkpoint(tmp_path_factory.mktemp("lab") / "tiny", max_position_embeddings=8192)
    manager, client = start_new_kernel(kernel_name="python3", cwd=path.parent)
    yield client, path
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def told(kernel):
    """Messages of the comm from here on: a kernel that has just loaded the extension."""
    client, path = kernel
    drain(client, client.execute(ANEW))
    client.execute(f"%load_ext gptoss_magic\n%gptoss load {path} --context 8192")
    return client


def drain(client, cell):
    """Read all that came until this cell, and those before it, had ended."""
    message = {"content": {}, "parent_header": {}}
    while not (
        message["content"].get("execution_state") == "idle"
        and message["parent_header"].get("msg_id") == cell
    ):
        message = client.get_iopub_msg(timeout=PATIENCE_S)


def message_where(client, is_it):
    """The first content of the comm for which `is_it` holds; the test fails where none comes."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        message = client.get_iopub_msg(timeout=PATIENCE_S)
        content = message["content"]
        if content.get("comm_id") == NAME and is_it(message["msg_type"], content["data"]):
            return content
    raise AssertionError("no such message")


def until_shown_anew(client):
    """A live view has more of an answer."""
    while True:
        message = client.get_iopub_msg(timeout=PATIENCE_S)
        if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] != NAME:
            return


def state_where(client, is_it):
    return message_where(client, lambda _, data: is_it(data["state"]))["data"]


def ask(client, op):
    content = {"comm_id": NAME, "data": {"op": op}}
    client.shell_channel.send(client.session.msg("comm_msg", content))


def test_it_is_opened_by_load_ext_and_says_what_is_loaded(told):
    opened = message_where(told, lambda kind, _: kind == "comm_open")
    assert opened["target_name"] == "gptoss"
    loaded = state_where(told, lambda state: state["model"] and not state["working"])
    assert loaded["version"] == 1
    assert loaded["state"]["context"] == 8192
    assert loaded["state"]["queue"] == []


def test_it_is_heard_while_a_cell_runs_and_stops_it(told):
    state_where(told, lambda state: state["model"] and not state["working"])
    told.execute("%%gptoss -t 0 -m 6000 -c talk\nSpeak for long")
    state_where(told, lambda state: state["working"] == "%%gptoss")
    ask(told, "state")
    heard = message_where(told, lambda _, data: data.get("heard") == "state")
    assert heard["data"]["state"]["working"] == "%%gptoss"
    for _ in range(2):  # so that there are tokens behind the first
        until_shown_anew(told)
    ask(told, "stop")
    message_where(told, lambda _, data: data.get("heard") == "stop")
    idle = state_where(told, lambda state: not state["working"])["state"]
    [talk] = idle["conversations"]
    assert (talk["name"], talk["num_turns"], talk["asked"]) == ("talk", 1, "Speak for long")
    assert 0 < talk["num_tokens"] < 6000
    assert idle["tokens_per_s"] > 0
    assert idle["cache"] > 0


def test_a_front_end_that_closes_it_takes_it_from_nobody(told):
    state_where(told, lambda state: state["model"] and not state["working"])
    content = {"comm_id": NAME, "data": {}}
    told.shell_channel.send(told.session.msg("comm_close", content))
    assert NAME in told.comm_info(target_name="gptoss", reply=True)["content"]["comms"]
    ask(told, "state")
    message_where(told, lambda _, data: data.get("heard") == "state")


def test_odd_messages_change_nothing(told):
    state_where(told, lambda state: state["model"] and not state["working"])
    for data in ({}, {"op": 7}, {"op": "explode"}):
        content = {"comm_id": NAME, "data": data}
        told.shell_channel.send(told.session.msg("comm_msg", content))
    ask(told, "stop")
    heard = message_where(told, lambda _, data: data.get("heard") == "stop")
    assert heard["data"]["state"]["working"] == ""


def metrics(step, loss, held_out=None):
    return StepMetrics(step, 1000, loss, 1e-3, 1.0, 10.0, 0, held_out)


def test_curves_are_thinned_and_have_no_gap_that_json_cannot_say(tmp_path):
    run = Run(tmp_path / "verse", settings_of("lora"), TrainSettings(), {}, [])
    steps = [
        metrics(n, float("nan") if n == 3 else 1 / n, 2.0 if n % 100 == 0 else None)
        for n in range(1, 1001)
    ]
    curve = curve_of(run, steps)
    assert len(curve.loss) <= MAX_POINTS + 1
    assert curve.loss[0] == (1, 1.0)
    assert curve.loss[-1] == (1000, 0.001)
    assert curve.held_out == tuple((n, 2.0) for n in range(100, 1001, 100))
    assert (curve.name, curve.step, curve.num_steps) == ("verse", 1000, 1000)
    assert curve_of(run, []).loss == ()


def test_a_damaged_run_is_said_and_the_others_are_shown(tmp_path):
    assert all_runs(str(tmp_path / "none")) == ([], "")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    runs, note = all_runs(str(tmp_path))
    assert runs == []
    assert "damaged" in note
    assert "\n" not in note
