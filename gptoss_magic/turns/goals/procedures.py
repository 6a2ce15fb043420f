"""What worked, drawn from finished goals: for a memory, without asking a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.quoting import in_width
from gptoss_magic.retrieval.items import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records.goals import GoalBoard, GoalNode, GoalTry

WIDTH = 120  # characters of a call, a reason, an answer
MOST_CALLS = 6


def procedures(board: GoalBoard) -> list[Item]:
    """One for each goal that is done: what was called, what passed, and what had failed before."""
    return [Item("procedure", _text(node)) for node in board.nodes if node.state == "done"]


def _text(node: GoalNode) -> str:
    *failed, passed = node.tries
    calls = list(_calls(passed))[:MOST_CALLS]
    parts = [
        f"To reach “{in_width(node.goal.text, WIDTH)}”",
        f"called {', then '.join(calls)}" if calls else "no tool was called",
        f"the answer “{in_width(passed.answer, WIDTH)}” passed ({in_width(passed.reason, WIDTH)})",
    ]
    if failed:
        why = in_width(failed[-1].reason, WIDTH)
        parts.append(f"{len(failed)} tries before it failed, the last: {why}")
    return "; ".join(parts)


def _calls(one: GoalTry) -> Iterator[str]:
    """The tools that were called, each with its arguments, in order."""
    for message in one.messages:
        if message.role == "assistant" and message.recipient:
            name = message.recipient.removeprefix("functions.")
            yield in_width(f"{name} {message.content}", WIDTH)
