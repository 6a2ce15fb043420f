"""What a real kernel shows of a line that is refused: one error, and no view, table or print."""

import pytest
from jupyter_client.manager import start_new_kernel

from gptoss_magic.testing import tiny_checkpoint

REFUSED = [
    "%%gptoss --tempurature 1\nHello",
    "%%gptoss",
    "%%gptoss --adapter nosuch\nHello",
    "%%gptoss --mask-experts 99:1\nHello",
    "%%gptoss --force-experts 0:99\nHello",
    "%%gptoss -m 999999\nHello",
    "%%gptoss -S nothing\nHello",
    "%%gptoss --rag nothing\nHello",
    "%%gptoss --tool nothing\nHello",
    "%%gptoss --persona nobody\nHello",
    "%gptoss branch 99999",
    "%gptoss lora compare Hello -a nosuch",
    "%gptoss compare Hello -a nosuch",
    "%gptoss routing nothing",
    "%gptoss search nothing Hello",
]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    path = tiny_checkpoint(tmp_path_factory.mktemp("refused") / "tiny")
    manager, client = start_new_kernel(kernel_name="python3")
    messages(client, f"%load_ext gptoss_magic\n%gptoss load {path} --context 1024")
    messages(client, "%%gptoss -m 3\nHello")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def messages(client, code):
    heard = []
    client.execute_interactive(code, timeout=120, output_hook=heard.append)
    return heard


@pytest.mark.parametrize("cell", REFUSED)
def test_a_refusal_leaves_nothing_but_its_line(kernel, cell):
    heard = messages(kernel, cell)
    kinds = {one["msg_type"] for one in heard}
    assert kinds - {"comm_msg"} == {"status", "execute_input", "error"}  # a front end's own link
    (error,) = [one["content"] for one in heard if one["msg_type"] == "error"]
    assert len(error["traceback"]) == 1


def test_an_answer_is_seen_from_the_reading_of_its_prompt_on(kernel):
    heard = messages(kernel, "%%gptoss -m 3\nHello again")
    kinds = [one["msg_type"] for one in heard]
    assert kinds.index("display_data") < kinds.index("update_display_data")
    sent = [one["content"]["data"] for one in heard if one["msg_type"] == "comm_msg"]
    first = next(data["content"] for data in sent if data["method"] == "custom")
    assert first["parts"] == []
    done, total = first["read"]
    assert done == 0
    assert total > 10


def test_a_plan_is_a_table_in_a_notebook_and_lines_in_a_terminal(kernel):
    heard = messages(kernel, "%%gptoss_tune -r 2\na → b\nc → d")
    plans = [one["content"]["data"] for one in heard if one["msg_type"] == "display_data"]
    (plan,) = [data for data in plans if "gptoss-plan" in data.get("text/html", "")]
    assert "Trains: LoRA r=2 on" in plan["text/html"]
    assert "<td" in plan["text/html"]
    assert "needed beside the weights" in plan["text/plain"]
