"""Where a tuning panel is shown: a widget in a notebook, lines of text in a terminal.

The widget gets each step's numbers as binary rows in custom messages, at most ten a second. These
are not replayed to a view that comes late, so every message names its first row, a view with a gap
asks for everything (`ready`), and where no view is heard everything is sent now and then.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol, TypedDict

from gptoss_magic.widgets.subshell import hear_while_busy

STATIC = Path(__file__).parent / "static"
PERIOD_S = 0.1
FIRST_WHOLE_S, MAX_WHOLE_GAP_S = 0.5, 5.0
LINE_S = 5.0
NUMBERS, RANK_NUMBERS, NUMBER_BYTES = 12, 4, 8  # of a step, of a rank in it, of a number


class RunState(TypedDict):
    """What changes while a run goes on; `seconds` so far, `left` in words."""

    state: str
    note: str
    rate: float
    seconds: float
    left: str | None


class RunSetup(TypedDict):
    """What does not; a `facts` entry is a name and a value. `num_ranks`: 0 for one process."""

    title: str
    facts: list[list[str]]
    num_steps: int
    num_ranks: int
    learning_rate: float
    reach: float


class Shown(Protocol):
    """What a screen shows: a tuning panel."""

    def setup(self) -> RunSetup:
        """What does not change while it runs."""

    def state(self) -> RunState:
        """What does."""

    def rows(self, first: int) -> bytes:
        """The steps from number `first` on, `row_bytes` of the setup's ranks each."""

    def line(self) -> str:
        """Where it stands, in words."""

    def hear(self, content: Any) -> None:
        """A view's message."""


def row_bytes(num_ranks: int) -> int:
    """Of one step, its ranks' numbers behind its own."""
    return (NUMBERS + RANK_NUMBERS * num_ranks) * NUMBER_BYTES


class Live:
    """The panel as a widget in the cell's output."""

    def __init__(self, panel: Shown) -> None:
        from IPython.display import display

        self._panel, self._lock = panel, Lock()
        self._sent, self._num_ranks = 0, panel.setup()["num_ranks"]
        self._sent_at = self._began = monotonic()
        self._whole_after, self._heard = FIRST_WHOLE_S, False
        self._widget = _live_widget_class()(setup=panel.setup())
        self._widget.on_msg(self._hear)
        hear_while_busy(self._widget)
        self._handle: Any = display(self._widget, display_id=True)

    def step(self) -> None:
        now = monotonic()
        if not self._heard and now - self._began >= self._whole_after:
            self._whole_after += min(now - self._began, MAX_WHOLE_GAP_S)
            self._send(whole=True)
        elif now - self._sent_at >= PERIOD_S or self._panel.state()["state"] != "running":
            self._send()

    def note(self) -> None:
        self._send()

    def leave(self, data: dict[str, str], metadata: dict[str, Any]) -> None:
        try:
            self._handle.update(data, raw=True, metadata=metadata)
        finally:
            self._widget.close()

    def _send(self, *, whole: bool = False) -> None:
        """Rows not sent yet, or all. From the loop's thread and from the one that hears."""
        with self._lock:
            first = 0 if whole else self._sent
            rows = self._panel.rows(first)
            self._sent = first + len(rows) // row_bytes(self._num_ranks)
            self._sent_at = monotonic()
            self._widget.send(self._panel.state() | {"first": first}, buffers=[rows])

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A view's message; runs in the subshell's thread where there is one."""
        self._heard = True
        self._panel.hear(content)
        self._send(whole=isinstance(content, dict) and content.get("op") == "ready")


class Lines:
    """The panel as lines of text, now and then."""

    def __init__(self, panel: Shown) -> None:
        self._panel = panel
        self._shown_at = -math.inf

    def step(self) -> None:
        if monotonic() - self._shown_at >= LINE_S:
            self.note()

    def note(self) -> None:
        self._shown_at = monotonic()
        sys.stdout.write(self._panel.line() + "\n")
        sys.stdout.flush()

    def leave(self, data: dict[str, str], metadata: dict[str, Any]) -> None:  # noqa: ARG002
        if data["text/plain"]:
            sys.stdout.write("\n" + data["text/plain"] + "\n")


@cache
def _live_widget_class() -> type[Any]:
    import anywidget
    import traitlets

    class LiveTuning(anywidget.AnyWidget):
        _esm = (STATIC / "uplot.min.js").read_text() + (STATIC / "tuning.js").read_text()
        _css = (STATIC / "uplot.min.css").read_text() + (STATIC / "tuning.css").read_text()
        setup = traitlets.Dict().tag(sync=True)

    return LiveTuning
