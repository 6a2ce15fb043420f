"""Interrupts at random moments of loading and generating in a real kernel leave no broken state."""

import random
import threading
from queue import Empty

import pytest
from jupyter_client.manager import start_new_kernel

from gptoss_magic.testing import tiny_checkpoint
from tests.warm import PLAIN

CHECK = """
import gptoss_magic as g
from gptoss_magic.session import current
g.load({path!r})
first = g.generate("Hello", date="2026-01-02", max_tokens=6).raw_tokens
assert first == expected, (first, expected)
for name in current().conversations:
    kept = current().conversations.messages(name)
    assert all(m.content for m in kept if m.role != "assistant"), kept
    assert [m.role for m in kept][:1] in ([], ["user"]), kept
print("sound")
"""
ACTIONS = (
    "%%gptoss -t 0 -m 400\nTell me a story",
    "%gptoss load {path!r} --replace",
    "%gptoss unload\n%gptoss load {path!r}",
    "%gptoss unload",
    "%%gptoss -q -n -t 0 -m 400 -o answer\nTell me a story",
)


class Kernel:
    """One real kernel: run a cell, interrupt it."""

    def __init__(self):  # a fork of tests/warm has a signal a moment later, in the next cell
        self.manager, self.client = start_new_kernel(kernel_name=PLAIN)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source, interrupt_after=None, interrupt_at=0):
        """(status, name of the error, printed text).

        The interrupt comes so many seconds after the cell began, be it over by then, or with that
        message of a live view.
        """
        sent = self.client.execute(source)
        timer = threading.Timer(interrupt_after or 0, self.manager.interrupt_kernel)
        text = []
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "execute_input" and interrupt_after is not None:
                timer.start()
            if kind == "comm_msg" and interrupt_at:
                interrupt_at -= 1
                if not interrupt_at:
                    self.manager.interrupt_kernel()
            if kind == "stream":
                text.append(content["text"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        if interrupt_after is not None:
            timer.join()
        content = self.reply_to(sent, may_be_lost=interrupt_after is not None)
        return content["status"], content.get("ename"), "".join(text) + content.get("evalue", "")

    def reply_to(self, sent, *, may_be_lost):
        """A signal that comes as ipykernel replies takes the reply along."""
        while True:
            try:
                reply = self.client.get_shell_msg(timeout=20 if may_be_lost else 120)
            except Empty:
                if not may_be_lost:
                    raise
                return {"status": "error", "ename": "KeyboardInterrupt"}
            if reply["parent_header"].get("msg_id") == sent:
                return reply["content"]


@pytest.fixture
def kernel(tmp_path):
    path = str(tiny_checkpoint(tmp_path / "tiny", max_position_embeddings=16384))
    made = Kernel()
    made.path = path
    made.run("%load_ext gptoss_magic")
    yield made
    made.close()


def prepare(kernel):
    answer = (
        f"import gptoss_magic as g; g.load({kernel.path!r})\n"
        "expected = g.generate('Hello', date='2026-01-02', max_tokens=6).raw_tokens"
    )
    assert kernel.run(answer)[0] == "ok"


def storm(kernel, count, seed):
    """`count` interrupts; after each the kernel must answer as before."""
    draw = random.Random(seed)
    stopped = 0
    for number in range(count):
        action = draw.choice(ACTIONS).replace("{path!r}", repr(kernel.path))
        status, name, text = kernel.run(action, interrupt_after=draw.uniform(0, 0.6))
        assert (status, name) in (("ok", None), ("error", "KeyboardInterrupt")), (
            action,
            name,
            text,
        )
        stopped += status == "error" or "interrupted" in text
        status, name, text = kernel.run(CHECK.replace("{path!r}", repr(kernel.path)))
        assert "sound" in text, (number, action, name, text)
    return stopped


def test_an_interrupted_answer_keeps_what_was_said(kernel):
    prepare(kernel)
    kernel.run("%%gptoss -t 0 -m 3000 -o answer\nTell me a story", interrupt_at=6)
    shown = kernel.run("print(answer.finish, len(answer.raw_tokens) > 1)")[2]
    assert shown.strip() == "interrupt True"
    again = kernel.run("%%gptoss -q -m 5 -o again\nGo on")
    assert again[0] == "ok", again


def test_an_interrupt_during_the_first_import(kernel):
    load = f"%gptoss load {kernel.path!r}"
    kernel.run(load, interrupt_after=0.7)
    prepare(kernel)


def test_twelve_interrupts(kernel):
    prepare(kernel)
    storm(kernel, 12, seed=1)


@pytest.mark.soak
def test_two_hundred_interrupts(kernel):
    prepare(kernel)
    assert storm(kernel, 200, seed=2) > 20
