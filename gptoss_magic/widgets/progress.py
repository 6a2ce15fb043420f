"""A progress bar for loading: one output that is updated in place and ends as one line."""

from __future__ import annotations

import sys
from html import escape
from time import monotonic
from typing import TYPE_CHECKING, Any

from gptoss_magic.widgets.styles import PALE
from gptoss_magic.widgets.transcript import in_kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

PERIOD_S = 0.1
TRACK = (
    "height: 6px; max-width: 420px; margin: 4px 0; border-radius: 3px; overflow: hidden; "
    "background: var(--jp-layout-color3, rgba(128, 128, 128, 0.3))"
)
BAR = "height: 100%; forced-color-adjust: none; background: var(--jp-brand-color1, #3b7dd8)"


class ProgressView:
    """Shows `title`, what is done of what there is, and a note; at most 10 updates a second.

    `amount` says both in words; they are bytes unless told otherwise.
    """

    def __init__(self, title: str, amount: Callable[[int, int], str] | None = None) -> None:
        self.title, self._amount = title, amount or bytes_text
        self._began = monotonic()
        self._shown_at = 0.0
        self._handle: Any = None
        self._finished = False

    def __enter__(self) -> Self:
        self._began = monotonic()
        if in_kernel():
            from IPython.display import display

            data = _bundle(self.title, progress_html(self.title, 0.0, ""))
            self._handle = display(data, raw=True, display_id=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._finished or (self._handle is None and kind is not None):
            return
        if isinstance(error, Exception) and not self._shown_at:
            self._handle.update({"text/plain": ""}, raw=True)  # the error's own line says it all
        else:
            how = f"ended by {kind.__name__}" if kind else "done"
            self.finish(f"{self.title}: {how} after {monotonic() - self._began:.1f} s")

    def update(self, done: int, total: int, note: str = "") -> None:
        """Cheap to call often. A total of 0 means that the size is not known."""
        if self._handle is None or self._finished or monotonic() - self._shown_at < PERIOD_S:
            return
        self._shown_at = monotonic()
        words = " · ".join(filter(None, [self._amount(done, total), note]))
        share = done / total if total > 0 else 0.0
        html = progress_html(self.title, share, words)
        self._handle.update(_bundle(f"{self.title}: {words}", html), raw=True)

    def finish(self, text: str, metadata: dict[str, Any] | None = None) -> None:
        """Leave one static line. `metadata` goes with the output."""
        self._finished = True
        if self._handle is None:
            sys.stdout.write(text + "\n")
        else:
            html = f'<div style="{PALE}">{escape(text)}</div>'
            self._handle.update(_bundle(text, html), raw=True, metadata=metadata or {})


def progress_html(title: str, share: float, words: str) -> str:
    """A bar filled to `share`, from 0 to 1, with words under it."""
    percent = 100 * min(max(share, 0.0), 1.0)
    return (
        f'<div class="gptoss-progress">{escape(title)}<div style="{TRACK}">'
        f'<div style="{BAR}; width: {percent:.1f}%"></div></div>'
        f'<div style="{PALE}">{escape(words)}</div></div>'
    )


def bytes_text(done: int, total: int) -> str:
    """`3.1 of 13.8 GB`, in decimal units that suit the larger number."""
    top = max(done, total)
    power = 3 if top >= 1e9 else 2 if top >= 1e6 else 1
    unit = ["B", "kB", "MB", "GB"][power]
    amount = f"{done / 1000**power:.1f}"
    return f"{amount} of {total / 1000**power:.1f} {unit}" if total > 0 else f"{amount} {unit}"


def _bundle(text: str, html: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": text}
