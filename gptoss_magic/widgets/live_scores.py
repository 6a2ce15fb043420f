"""The live table of an evaluation: how far it is, and the scores so far."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gptoss_magic.widgets.evaluation import scores_table
from gptoss_magic.widgets.progress import progress_html
from gptoss_magic.widgets.tables import table_html, table_text
from gptoss_magic.widgets.transcript import in_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from gptoss_magic.records.evaluations import ArmScore


class LiveScores:
    """One output that is updated in place and ends as one line."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total = title, total
        self._handle: Any = None
        self._is_over = False

    def __enter__(self) -> Self:
        if in_kernel():
            from IPython.display import display

            self._handle = display(self._data(0, ()), raw=True, display_id=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and self._handle is not None and not self._is_over:
            self.finish(f"{self.title}: ended by {kind.__name__}; what was answered is kept")

    def update(self, done: int, scores: Sequence[ArmScore]) -> None:
        """Show what is done; the figures are interim."""
        if self._handle is not None and not self._is_over:
            self._handle.update(self._data(done, scores), raw=True)

    def finish(self, text: str) -> None:
        """Leave one line."""
        self._is_over = True
        if self._handle is None:
            sys.stdout.write(text + "\n")
        else:
            line = progress_html(text, 1.0, "")
            self._handle.update({"text/html": line, "text/plain": text}, raw=True)

    def _data(self, done: int, scores: Sequence[ArmScore]) -> dict[str, str]:
        words = f"{done:,} of {self.total:,} answers"
        html, text = progress_html(self.title, done / max(1, self.total), words), words
        if scores:
            table = scores_table(scores, "Interim.")
            html, text = html + table_html(*table), f"{words}\n{table_text(*table[:2])}"
        return {"text/html": html, "text/plain": text}
