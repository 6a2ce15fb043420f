"""Goals as they stand: a picture and lines that live while they run, and stay when they are over.

What goals and answers say is text of a model: everything is escaped, and nothing is fetched.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from html import escape
from time import monotonic
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import in_width, one_line
from gptoss_magic.records.goals import MARKS
from gptoss_magic.widgets.goal_graph import graph_svg, shown_nodes, size_of
from gptoss_magic.widgets.steps import BOX, INNER, WARNING
from gptoss_magic.widgets.styles import MUTED
from gptoss_magic.widgets.transcript import in_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from gptoss_magic.records.goals import GoalBoard, GoalNode, GoalTest, GoalTry

PERIOD_S = 0.2
LINE = 160  # characters of a reason in a line


class GoalsView:
    """One output that shows a board anew, at most five times a second, and ends as it then is."""

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self.name, self.quiet = name, quiet
        self.board: GoalBoard | None = None
        self._tokens, self._shown_at = 0, 0.0
        self._handle: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.board is not None and kind is not None:
            self.finish(self.board)

    def show(self, board: GoalBoard) -> None:
        """How it stands now."""
        self.board, self._tokens = board, 0
        if in_kernel() and not self.quiet:
            self._display(board, "")

    def count(self, tokens: int) -> None:
        """So many tokens of the answers that are being made."""
        self._tokens = tokens
        if self._handle is None or monotonic() - self._shown_at < PERIOD_S or self.board is None:
            return
        self._display(self.board, f"{tokens:,} tokens of the next answers")

    def finish(self, board: GoalBoard, data: dict[str, Any] | None = None) -> None:
        """Leave the board as it is; `data`: further MIME types of the output."""
        self.board = board
        if self.quiet:
            return
        if in_kernel():
            self._display(board, "", data)
        else:
            sys.stdout.write(board_text(board) + "\n")

    def _display(self, board: GoalBoard, note: str, data: dict[str, Any] | None = None) -> None:
        from IPython.display import display

        self._shown_at = monotonic()
        shown = {"text/html": board_html(board, note), "text/plain": board_text(board, note)}
        if self._handle is None:
            self._handle = display({**(data or {}), **shown}, raw=True, display_id=True)
        else:
            self._handle.update({**(data or {}), **shown}, raw=True)


def board_html(board: GoalBoard, note: str = "") -> str:
    """The picture, then a foldable entry for each goal with its tries."""
    data = b64encode(graph_svg(board).encode("utf-8", "replace")).decode()
    width, height = size_of(board)
    image = (
        f'<img src="data:image/svg+xml;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(_heading(board))}; the goals stand below" style="max-width: 100%">'
    )
    entries = "".join(_entry(node) for node in shown_nodes(board))
    notes = "".join(
        f'<div style="{MUTED}">{escape(one)}</div>' for one in (*board.notes, note) if one
    )
    return (
        f'<div class="gptoss-goals"><div style="{MUTED}">{escape(_heading(board))}</div>'
        f"{image}{entries}{notes}</div>"
    )


def board_text(board: GoalBoard, note: str = "") -> str:
    """The same in lines of text."""
    lines = [f"{MARKS[node.state]} {_line(node)}" for node in shown_nodes(board)]
    return "\n".join([_heading(board), *lines, *board.notes, *([note] if note else [])])


def _heading(board: GoalBoard) -> str:
    """`report: 2 of 3 done · 812 tokens · 3 calls · 12.1 s`."""
    wanted = [node for node in board.nodes if node.state != "dropped"]
    done = sum(node.state == "done" for node in wanted)
    words = [f"{board.name}: {done} of {len(wanted)} done"]
    words += [f"{sum(node.tokens for node in board.nodes):,} tokens"]
    calls = sum(node.calls for node in board.nodes)
    words += [f"{calls} call{'' if calls == 1 else 's'}"] if calls else []
    words += [f"{sum(node.seconds for node in board.nodes):.1f} s"]
    if board.finish == "interrupt":
        words.append("interrupted: run the cell again to go on")
    return " · ".join(words)


def _line(node: GoalNode) -> str:
    """`sum (after find) · done: the test is true · try 2`."""
    after = f" (after {', '.join(node.goal.after)})" if node.goal.after else ""
    reason = f": {one_line(node.reason, LINE)}" if node.reason else ""
    tries = f" · {_tries(len(node.tries))}" if node.tries else ""
    return f"{node.goal.name}{after} · {node.state}{reason}{tries}"


def _tries(count: int) -> str:
    return f"{count} {'try' if count == 1 else 'tries'}"


def acceptance_line(test: GoalTest) -> str:
    """A test in a line, as the user wrote it."""
    given = getattr(test.given, "__name__", "") or ("its own schema" if test.given else "")
    words = {
        "citations": f"{test.least} or more citations, each valid",
        "tick": f"your tick{f': {test.text}' if test.text else ''}",
    }
    return words.get(test.kind, f"{test.kind} {test.text or given}")


def _entry(node: GoalNode) -> str:
    style = "cursor: pointer; overflow-wrap: anywhere"
    colour = f' style="{WARNING}"' if node.state in ("failed", "blocked") else ""
    inner = [_label(f"Test · {acceptance_line(node.goal.test)}"), _prose(node.goal.text)]
    inner += [part for one in enumerate(node.tries, 1) for part in _try(*one)]
    return (
        f'<details class="gptoss-goal"><summary style="{style}"><span{colour}>'
        f"{escape(MARKS[node.state])} {escape(_line(node))}</span></summary>"
        f'<div style="{INNER}">{"".join(inner)}</div></details>'
    )


def _try(number: int, one: GoalTry) -> Iterator[str]:
    verdict = "passed" if one.passed else "waits" if one.waits else "did not pass"
    spent = f"{one.tokens:,} tokens, {one.calls} calls, {one.seconds:.1f} s"
    yield _label(f"Try {number} {verdict}: {one.reason} ({spent})")
    if one.answer:
        yield f'<pre dir="auto" style="{BOX}">{escape(one.answer)}</pre>'


def _label(text: str) -> str:
    return f'<div style="{MUTED}; overflow-wrap: anywhere">{escape(text)}</div>'


def _prose(text: str) -> str:
    body = escape(in_width(text, 2000))
    return f'<div dir="auto" style="overflow-wrap: anywhere; margin-bottom: 4px">{body}</div>'
