"""Cells in a real shell whose kernel holds a tiny model."""

from contextlib import contextmanager

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from gptoss_magic.session import MemorySettings, current
from gptoss_magic.testing import tiny_checkpoint


def new_shell():
    """A shell with the extension. Its history is not written: cells get their numbers again."""
    unwritten = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=unwritten)
    shell.run_line_magic("load_ext", "gptoss_magic")
    return shell


@contextmanager
def tiny_shell(folder, context, *cells):
    """A shell with the extension and the model loaded, after `cells`."""
    path = tiny_checkpoint(folder / "tiny", max_position_embeddings=max(2048, context))
    shell = new_shell()
    current().unload()
    for cell in (f"%gptoss load '{path}' --context {context}", *cells):
        assert run(shell, cell)[0].success, cell
    yield shell
    current().unload()
    InteractiveShell.clear_instance()


@contextmanager
def clean_session(monkeypatch, folder):
    """Nothing of another test: no persona, talk, consent or memory. Data go to `folder`."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.setenv("JPY_SESSION_NAME", "one.ipynb")
    _forget()
    yield current()
    _forget()


def _forget():
    session = current()
    session.policies.forget()
    session.personas.clear()
    session.conversations.clear()
    session.persona, session.memory = (), MemorySettings()
    session.last = session.proposal = None


def run(shell, source):
    """(result, what was printed and shown as text) of one cell."""
    with capture_output() as captured:
        result = shell.run_cell(source)
    shown = [output.data["text/plain"] for output in captured.outputs]
    return result, "\n".join(filter(None, [captured.stdout, captured.stderr, *shown]))
