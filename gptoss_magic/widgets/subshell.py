"""Widgets whose messages are heard while a cell runs.

A kernel handles a front end's messages one after another, so a click would wait for the cell to
end. Since ipykernel 7 a kernel has subshells: threads with a queue of their own. Which of them
hears a widget is, from ipykernel 7.4 on, for the comm to say; until then the front end chooses, and
JupyterLab chooses well. That door is not public, hence one file, which does nothing elsewhere.
"""

from __future__ import annotations

from threading import Event, Lock
from typing import Any

START_S = 5.0
_lock = Lock()
_own: dict[int, str] = {}


def hear_while_busy(widget: Any) -> bool:
    """Let this kernel's own subshell handle the widget's messages; False where there is none."""
    return hear_comm_while_busy(getattr(widget, "comm", None))


def hear_comm_while_busy(comm: Any) -> bool:
    """The same of a comm."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if not hasattr(comm, "_reply_subshell_for"):
        return False
    name = _subshell(kernel)
    if name is None:
        return False
    comm._reply_subshell_for = lambda _data, _default: name  # noqa: SLF001
    return True


def _subshell(kernel: Any) -> str | None:
    """The subshell that all our widgets share, made when first asked for."""
    with _lock:
        if id(kernel) not in _own:
            name = _create(getattr(kernel, "shell_channel_thread", None))
            if name is None:
                return None
            _own[id(kernel)] = name
        return _own[id(kernel)]


def _create(thread: Any) -> str | None:
    """Subshells are made in the thread that reads the shell's socket."""
    create = getattr(getattr(thread, "manager", None), "_create_subshell", None)
    if create is None or not hasattr(thread, "io_loop"):
        return None
    made, names = Event(), []

    def make() -> None:
        names.append(create())
        made.set()

    thread.io_loop.add_callback(make)
    return names[0] if made.wait(START_S) else None
