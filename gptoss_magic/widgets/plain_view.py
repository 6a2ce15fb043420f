"""Views of an answer without a widget: text in a terminal, or nothing at all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import HeldMarks
from gptoss_magic.widgets.sources import sources_text
from gptoss_magic.widgets.static_html import meta_line, tool_call_text
from gptoss_magic.widgets.steps import step_line

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from gptoss_magic.records import Step, Transcript


class PlainView:
    """Streams to stdout: channels under a heading each, then the tool calls and the counts."""

    def __init__(self, model: str = "") -> None:
        self.model = model
        self._channel, self._marks = "", HeldMarks()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_line()

    def delta(self, channel: str, text: str) -> None:
        for name, shown in self._marks.take(channel, text):
            self._write(name, shown)

    def _write(self, channel: str, text: str) -> None:
        if channel != self._channel:
            self._break()
            sys.stdout.write(f"[{channel}]\n")
        self._channel = channel
        sys.stdout.write(text)
        sys.stdout.flush()

    def prefill(self, done: int, total: int) -> None:
        """Nothing: the terminal shows text only."""

    def step(self, step: Step) -> None:
        for name, shown in self._marks.rest():
            self._write(name, shown)
        self._write(f"result · {step_line(step)}", step.result)

    def flush(self) -> None:
        self._end_line()

    def finish(
        self,
        transcript: Transcript,
        metadata: dict[str, Any] | None = None,  # noqa: ARG002
        data: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        if not self._channel and transcript.final:
            self.delta("final", transcript.final)
        self._end_line()
        shown = sources_text(transcript.passages, transcript.citations, transcript.support)
        lines = [*map(tool_call_text, transcript.tool_calls), shown, transcript.note]
        lines.append(meta_line(transcript) and f"[{meta_line(transcript)}]")
        sys.stdout.write("".join(f"{line}\n" for line in lines if line))

    def _end_line(self) -> None:
        for name, shown in self._marks.rest():
            self._write(name, shown)
        self._break()

    def _break(self) -> None:
        if self._channel:
            sys.stdout.write("\n\n")
        self._channel = ""


class SilentView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def delta(self, channel: str, text: str) -> None:  # noqa: ARG002
        return None

    def prefill(self, done: int, total: int) -> None:
        return None

    def step(self, step: Step) -> None:
        return None

    def flush(self) -> None:
        return None

    def finish(
        self,
        transcript: Transcript,  # noqa: ARG002
        metadata: dict[str, Any] | None = None,  # noqa: ARG002
        data: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        return None
