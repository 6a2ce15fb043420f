"""What a test changes is put back: tests that spoil everything, and what the next one sees."""

import os
import signal
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from IPython.utils.capture import capture_output

from gptoss_magic.adapters import Adapter
from gptoss_magic.agents.persona import Persona
from gptoss_magic.magics.panel import Bound
from gptoss_magic.retrieval.embedders import OFFERED
from gptoss_magic.session import MemorySettings, current
from gptoss_magic.tuning.control import Control
from gptoss_magic.turns.stopping import WORK
from tests import as_before
from tests.adapter_cases import expert_lora
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 4", "kept = 'first'")
    with tiny_shell(tmp_path_factory.mktemp("before"), 1024, *cells) as shell:
        current().shelf.add(Adapter("facts", (expert_lora((1, 2)),)))
        yield shell


def state(shell):
    """All that the next test would see, as plain values."""
    session, shelf = current(), current().held_adapters
    magics = shell.magics_manager.registry["GptOssMagics"]
    return {
        "model": id(session.resident),
        "adapters": shelf and shelf.status(),
        "session": {
            name: repr(getattr(session, name))
            for name in ("conversations", "personas", "persona", "memory", "last", "last_error")
        },
        "consent": session.policies.names(),
        "cached": session.loaded and list(session.loaded[1].prefixes.held),
        "variables": dict(shell.user_ns),
        "cells": list(shell.history_manager.input_hist_raw),
        "count": shell.execution_count,
        "settings": {name: getattr(magics, name) for name in ("max_tokens", "temperature")},
        "answers": dict(magics.answers),
        "magics": id(magics),
        "panel": magics.panel,
        "told": list(WORK.listeners),
        "matchers": len(shell.Completer.custom_matchers),
    }


SPOILERS = [
    "%%gptoss -o a -c talk\nHello",
    "%config GptOssMagics.max_tokens = 2",
    "%reload_ext gptoss_magic",
    "%unload_ext gptoss_magic",
    "%gptoss unload",
    "%gptoss lora scale facts 3",
    "%gptoss lora use facts",
    "%gptoss lora detach facts",
    "%gptoss tools allow python",
    "%gptoss memory on",
    "%%gptoss_persona pirate\nSay Ahoy.",
    "kept = 'second'\nnew = 1",
    "1 / 0",
    "%gptoss sing",
]


@pytest.mark.parametrize("cell", SPOILERS)
def test_a_cell_leaves_nothing_for_the_next_test(shell, cell):
    before = state(shell)
    with as_before.session(), as_before.registries(), as_before.shell():
        with capture_output():
            shell.run_cell(cell, store_history=True)
        assert state(shell) != before
    assert state(shell) == before


def test_a_panel_hears_no_more_and_settings_are_heard_as_before(shell):
    magics = shell.magics_manager.registry["GptOssMagics"]
    with as_before.registries(), as_before.shell():
        magics.panel = Bound(magics)
        magics.panel.refresh = lambda: pytest.fail("the panel hears")
    run(shell, "%config GptOssMagics.max_tokens = 3")
    assert (magics.max_tokens, magics.panel, WORK.listeners) == (3, None, [])


def test_what_the_session_holds_is_put_back():
    before = told(current())
    with as_before.session():
        current().conversations.latest["talk"] = "a turn"
        current().personas["poet"] = Persona("poet", "Rhyme.")
        current().persona, current().memory = ("poet",), MemorySettings(is_on=True)
        current().last_error = KeyError()
    assert told(current()) == before


def told(session):
    """What it holds, with the turns of its conversations."""
    values = {field.name: getattr(session, field.name) for field in fields(session)}
    talks = values.pop("conversations")
    return repr(values), dict(talks.turns), dict(talks.latest), talks.limit


def test_a_run_that_a_test_left_is_stopped_and_named():
    control = Control()

    def train():
        with current().training_by("aye", control):
            has_begun.set()
            while control.wait():
                time.sleep(0.01)

    has_begun, thread = threading.Event(), threading.Thread(target=train)
    with pytest.raises(AssertionError, match="the run aye"), as_before.session():  # noqa: PT012
        thread.start()
        has_begun.wait()
    assert current().training is None
    assert not thread.is_alive()


def test_what_this_process_is_set_to_is_put_back(tmp_path):
    handlers = [signal.getsignal(number) for number in as_before.SIGNALS]
    before = dict(os.environ), Path.cwd(), list(sys.path)
    with as_before.process():
        os.environ["NEW"] = "1"
        del os.environ["PATH"]
        os.chdir(tmp_path)
        sys.path.insert(0, "x")
        for number in as_before.SIGNALS:
            signal.signal(number, lambda *_: None)
    assert before == (dict(os.environ), Path.cwd(), list(sys.path))
    assert handlers == [signal.getsignal(number) for number in as_before.SIGNALS]


def test_what_torch_is_set_to_is_put_back():
    threads = torch.get_num_threads()
    with as_before.torch_settings():
        first = torch.rand(1)
        torch.set_num_threads(threads + 1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    with as_before.torch_settings():
        assert torch.rand(1) == first


def test_an_embedder_that_a_model_offers_goes_with_it():
    with as_before.registries():
        OFFERED["theirs"] = lambda name: None
    assert "theirs" not in OFFERED


def test_data_and_settings_lie_in_a_folder_of_the_test(tmp_path_factory):
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
        assert tmp_path_factory.getbasetemp() in Path(os.environ[name]).parents
