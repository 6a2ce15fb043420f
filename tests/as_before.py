"""What outlives a test is put back after it, so that each passes alone and in any order.

A test begins with what its module's fixtures made, whatever ran before it in this process.
Nothing is imported here for a test that does not use it: torch and IPython least of all.
"""

import os
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path

from gptoss_magic.conversations import Conversations
from gptoss_magic.retrieval.embedders import OFFERED
from gptoss_magic.runs.parts import LATEST
from gptoss_magic.session import current
from gptoss_magic.turns.stopping import WORK

# interrupts, time limits, and writing to a full disk, which by default ends a process
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGALRM", "SIGXFSZ") if hasattr(signal, name)
]
OURS = {"GptOssMagics", "TuneMagics", "DataMagics", "PersonaMagics"}


@contextmanager
def process():
    """Environment, folder, import path, and what is done at a signal."""
    environment, folder, path = dict(os.environ), Path.cwd(), list(sys.path)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def torch_settings(seed=0):
    """Threads, number format, gradients; each test draws from the same seed."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    with_gradients = torch.is_grad_enabled()
    torch.manual_seed(seed)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(with_gradients)


@contextmanager
def session():
    """What this kernel holds. What was computed of earlier prompts is not reused across tests."""
    held = current()
    _forget_prefixes(held)
    before = {field.name: _copy(getattr(held, field.name)) for field in fields(held)}
    said, service = dict(held.policies._said), _serving()  # noqa: SLF001
    with _shelf(held.held_adapters):
        yield
    left = _ended_run(held)
    if _serving() not in (None, service):
        _serving().stop()
    held.pythons.end()
    for name in held.servers.keys() - before["servers"].keys():
        held.servers[name].close()
    for name, value in before.items():
        setattr(held, name, value)
    held.policies._said.clear()  # noqa: SLF001
    held.policies._said.update(said)  # noqa: SLF001
    _forget_prefixes(held)
    assert not left, f"the run {left} still trained the model"


def _ended_run(held):
    """The name of a run in the background, which a test left behind; it is stopped here."""
    if held.training is None:
        return ""
    (name, control), trainer = held.training, held.queue._owner  # noqa: SLF001
    control.stop()
    for thread in threading.enumerate():
        if thread.ident == trainer:
            thread.join()
    return name


def _serving():
    """The endpoint that is up: a module's, or one that a test left behind."""
    server = sys.modules.get("gptoss_magic.serving.server")
    return server.serving() if server else None


def _forget_prefixes(held):
    if held.loaded is not None:
        prefixes = getattr(held.loaded[1], "prefixes", None)  # a server's are its own
        if prefixes is not None:
            prefixes.held.clear()


def _copy(value):
    """Of a dictionary, the lists that it holds, and the turns; anything else as it is."""
    if isinstance(value, Conversations):
        copied = Conversations()
        copied.turns, copied.latest = dict(value.turns), dict(value.latest)
        copied.limit = value.limit
        return copied
    if not isinstance(value, dict):
        return value
    return {key: list(item) if isinstance(item, list) else item for key, item in value.items()}


@contextmanager
def _shelf(shelf):
    """The adapters of the resident model, their scales, and those in use."""
    if shelf is None:
        yield
        return
    held, default = dict(shelf.held), shelf.default
    scales = {name: resident.scale for name, resident in held.items()}
    yield
    shelf.held.clear()
    shelf.held.update(held)
    shelf.default = default
    for name, scale in scales.items():
        held[name].scale = scale


@contextmanager
def registries():
    """Who is told of work, which embedders the resident model offers, what was scored last."""
    with _contents([WORK.listeners, OFFERED, LATEST]):
        yield
    assert not WORK.name, f"{WORK.name} still works"


@contextmanager
def _contents(holders):
    """Of lists, dictionaries and sets that stay the same objects."""
    before = [holder.copy() for holder in holders]
    yield
    for holder, contents in zip(holders, before, strict=True):
        _refill(holder, contents)


def _refill(holder, contents):
    """The same object, with other contents."""
    holder.clear()
    put = holder.extend if isinstance(holder, list) else holder.update
    put(contents)


@contextmanager
def shell():
    """Variables, history, magics and their settings of the shell of the module, if it has one."""
    before = _current_shell()
    with ExitStack() as stack:
        if before is not None:
            stack.enter_context(_history(before))
            stack.enter_context(_magics(before))
            stack.enter_context(_contents([before.user_ns]))
        yield
    after = _current_shell()
    if after is not before:
        assert before is None, "a test took away its module's shell"
        type(after).clear_instance()


def _current_shell():
    """The one that is there, without making or importing one."""
    module = sys.modules.get("IPython.core.interactiveshell")
    if module is None or not module.InteractiveShell.initialized():
        return None
    return module.InteractiveShell.instance()


@contextmanager
def _history(shell):
    history, count = shell.history_manager, shell.execution_count
    cells = [history.input_hist_parsed, history.input_hist_raw]
    shown = [history.output_hist, history.output_hist_reprs, history.outputs, history.exceptions]
    with _contents([*cells, *shown]):
        yield
    shell.execution_count = count


@contextmanager
def _magics(shell):
    """Which magics there are, and what each of ours is set to."""
    manager, matchers = shell.magics_manager, shell.Completer.custom_matchers
    typed = shell.input_transformer_manager
    kinds = [manager.registry, *manager.magics.values(), shell.extension_manager.loaded, matchers]
    kinds += [typed.cleanup_transforms, typed.token_transformers]
    with _contents(kinds), ExitStack() as stack:
        for name in OURS & manager.registry.keys():
            stack.enter_context(_traits(manager.registry[name]))
        yield


@contextmanager
def _traits(magics):
    """Values and observers of its traits, and the panel that shows them."""
    names = set(magics.trait_names()) - {"config", "parent"}
    values = {name: _copy(getattr(magics, name)) for name in names}
    observers, panel = _observers(magics), getattr(magics, "panel", None)
    yield
    magics._trait_notifiers = observers  # noqa: SLF001
    for name, value in values.items():
        setattr(magics, name, value)
    if hasattr(magics, "panel"):
        magics.panel = panel


def _observers(magics):
    """{trait: {kind of change: [observer]}}, as traitlets keeps them."""
    return {
        trait: {kind: list(told) for kind, told in kinds.items()}
        for trait, kinds in magics._trait_notifiers.items()  # noqa: SLF001
    }
