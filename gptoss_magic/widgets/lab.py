"""The line to the JupyterLab extension: one comm with a fixed name. It knows no model.

The kernel opens it, so that a front end never asks a kernel that has nothing to say, and a page
that is loaded while a cell runs finds it by its name. A front end that does not know it closes it:
the comm is kept then, for one that does.
"""

from __future__ import annotations

from threading import Lock, Timer
from typing import TYPE_CHECKING, Any

from gptoss_magic.widgets.subshell import hear_comm_while_busy

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET, NAME = "gptoss", "gptoss-panel"
PERIOD_S = 0.2


class LabLink:
    """`hear(op)` gets what the extension asks, in the subshell's thread where there is one."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._comm: Any = None

    def open(self, message: dict[str, Any]) -> None:
        """Say to every front end that this kernel has something to show, and what."""
        from comm import create_comm

        self._keep(create_comm(target_name=TARGET, comm_id=NAME, data=message))

    def send(self, message: dict[str, Any]) -> None:
        """Tell the extension, wherever it is open; from any thread."""
        if self._comm is not None:
            self._comm.send(message)

    def close(self) -> None:
        """Let the extension show nothing of this kernel any more."""
        if self._comm is not None:
            self._comm.close()
            self._comm = None

    def _keep(self, comm: Any) -> None:
        comm.on_msg(self._take)
        comm.on_close(self._reopen)
        hear_comm_while_busy(comm)
        self._comm = comm

    def _reopen(self, _message: Any) -> None:
        """One front end closed it: another may still listen, or come later."""
        from comm import create_comm, get_comm_manager

        comm = create_comm(target_name=TARGET, comm_id=NAME, primary=False)
        get_comm_manager().register_comm(comm)
        self._keep(comm)

    def _take(self, message: Any) -> None:
        data = message["content"]["data"]
        if isinstance(data, dict) and isinstance(data.get("op"), str):
            self._hear(data["op"])


class Throttle:
    """Calls `act` a moment after it was asked to, once for all that asked meanwhile."""

    def __init__(self, act: Callable[[], None], period_s: float = PERIOD_S) -> None:
        self._act, self._period_s = act, period_s
        self._lock = Lock()
        self._timer: Timer | None = None

    def ask(self) -> None:
        """From any thread; comes back at once."""
        with self._lock:
            if self._timer is None:
                self._timer = Timer(self._period_s, self._run)
                self._timer.daemon = True
                self._timer.start()

    def cancel(self) -> None:
        """Forget what was asked."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _run(self) -> None:
        with self._lock:
            self._timer = None
        self._act()
