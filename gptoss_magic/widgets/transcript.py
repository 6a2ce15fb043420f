"""The stream of one answer: a live widget while it runs, static HTML when it is over.

The live widget gets deltas as custom messages, at most `hz` a second. These are not replayed to a
view that comes late, so every part names its block and offset, a snapshot of the whole text is
kept in the widget's state at growing intervals, and a view's `ready` is answered with everything.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.quoting import HeldMarks
from gptoss_magic.records import Transcript
from gptoss_magic.widgets.blocks import Blocks
from gptoss_magic.widgets.plain_view import PlainView, SilentView
from gptoss_magic.widgets.sources import live_sources
from gptoss_magic.widgets.static_html import transcript_html, transcript_text
from gptoss_magic.widgets.steps import step_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from gptoss_magic.records import Passage, Step

STATIC = Path(__file__).parent / "static"
FIRST_SNAPSHOT_S = 0.5
MAX_SNAPSHOT_GAP_S = 3.0


class View(Protocol):
    """What every display of an answer offers."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def delta(self, channel: str, text: str) -> None:
        """Add text to a channel: 'analysis', 'commentary', 'final' or a tool's name."""

    def prefill(self, done: int, total: int) -> None:
        """Prompt tokens read, of those to read."""

    def step(self, step: Step) -> None:
        """A call that is done: its result."""

    def flush(self) -> None:
        """Show what has come so far: a question or a tool is next, which may take long."""

    def finish(
        self,
        transcript: Transcript,
        metadata: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Replace the stream by the whole answer.

        `metadata` goes with the output; `data` are further MIME types of it.
        """


def open_view(model: str = "", passages: Sequence[Passage] = (), *, quiet: bool = False) -> View:
    """The view that fits: a widget in a kernel, text in a terminal, nothing when quiet.

    `passages`: what the answer may cite.
    """
    if quiet:
        return SilentView()
    if in_kernel() and find_spec("anywidget") is not None:
        return TranscriptView(model, passages)
    return PlainView(model=model)


def in_kernel() -> bool:
    """True in a Jupyter kernel; False in a terminal or outside IPython."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


class TranscriptView:
    """A widget in the cell's output, from the first event on, and static HTML and text at last."""

    def __init__(self, model: str = "", passages: Sequence[Passage] = (), hz: float = 10) -> None:
        self.model, self._sources = model, live_sources(passages)
        self._period = 1 / hz
        self._blocks, self._marks = Blocks(), HeldMarks()
        self._read = (0, 0)
        self._sent_at = self._began = monotonic()
        self._snapshot_after = FIRST_SNAPSHOT_S
        self._widget: Any = None
        self._handle: Any = None

    def __enter__(self) -> Self:
        self._began = monotonic()
        return self

    def _open(self) -> None:
        """Show the widget, once there is something to show: what is refused leaves no output."""
        from IPython.display import display

        self._widget = _live_widget_class()(model_name=self.model, sources=self._sources)
        self._widget.on_msg(self._answer)
        self._handle = display(self._widget, display_id=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()
        if self._widget is not None and isinstance(error, Exception) and not self._blocks.whole():
            self._become({"text/plain": ""}, {})  # the error's own line says it all
        elif self._widget is not None:
            self.finish(partial_transcript(self._blocks, self.model, error))

    def delta(self, channel: str, text: str) -> None:
        for name, shown in self._marks.take(channel, text):
            self._blocks.add(name, shown)
        if self._handle is None or monotonic() - self._sent_at >= self._period:
            self._flush()

    def prefill(self, done: int, total: int) -> None:
        self._read = (done, total)
        self._flush()

    def step(self, step: Step) -> None:
        self._release()
        given = step.passages or ((step.page.passage,) if step.page else ())
        if given and self._widget is not None:
            self._sources = [*self._sources, *live_sources(given)]
            self._widget.sources = self._sources
        self._blocks.add(f"result · {step_line(step)}", step.result)
        self._flush()

    def flush(self) -> None:
        self._release()
        self._flush()

    def _release(self) -> None:
        """What was held back as half a citation is none."""
        for name, shown in self._marks.rest():
            self._blocks.add(name, shown)

    def finish(
        self,
        transcript: Transcript,
        metadata: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        shown = {
            "text/html": transcript_html(transcript),
            "text/plain": transcript_text(transcript),
        }
        self._become({**(data or {}), **shown}, metadata or {})

    def _become(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        from IPython.display import display

        widget, self._widget, show = self._widget, None, display
        if self._handle is not None:
            show = self._handle.update
        try:
            show(data, raw=True, metadata=metadata)
        finally:
            if widget is not None:
                widget.close()

    def _flush(self) -> None:
        if self._handle is None:
            self._open()
        if self._widget is None:
            return
        self._sent_at = monotonic()
        elapsed = self._sent_at - self._began
        self._widget.send({"seconds": elapsed, "read": self._read, "parts": self._blocks.fresh()})
        if elapsed >= self._snapshot_after:
            self._snapshot_after = elapsed + min(elapsed, MAX_SNAPSHOT_GAP_S)
            self._widget.snapshot = self._state()

    def _state(self) -> dict[str, Any]:
        elapsed = monotonic() - self._began
        return {"seconds": elapsed, "read": self._read, "parts": self._blocks.whole()}

    def _answer(self, widget: Any, content: Any, _buffers: Any) -> None:
        """Send everything to a view that just appeared. May run in another thread."""
        if isinstance(content, dict) and content.get("op") == "ready":
            widget.send(self._state())


def partial_transcript(blocks: Blocks, model: str, error: BaseException | None) -> Transcript:
    """What is known of an answer whose stream ended without a `finish`."""
    interrupted = isinstance(error, KeyboardInterrupt)
    note = "" if error is None or interrupted else f"Ended by {type(error).__name__}: {error}"
    return Transcript(
        analysis=blocks.text("analysis"),
        final=blocks.text("final"),
        commentary=blocks.text("commentary"),
        finish="interrupt" if interrupted else None,
        model=model,
        note=note,
    )


@cache
def _live_widget_class() -> type[Any]:
    import anywidget
    import traitlets

    class LiveTranscript(anywidget.AnyWidget):
        _esm = STATIC / "transcript.js"
        _css = STATIC / "transcript.css"
        model_name = traitlets.Unicode("").tag(sync=True)
        snapshot = traitlets.Dict().tag(sync=True)
        sources: Any = traitlets.List().tag(sync=True)

    return LiveTranscript
