"""Finished goals as rows to tune on: the try that passed its test, with its calls and thoughts.

Tools' results and all else that the model did not say stand in a row and are never trained; the
notes of the graph are left out, and so are tries that did not pass.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import NewLines
from gptoss_magic.errors import InputError
from gptoss_magic.public import public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records import Message
    from gptoss_magic.records.goals import GoalBoard, GoalTry


@public
def goal_rows(board: GoalBoard, path: str | Path | None = None) -> list[dict[str, Any]]:
    """Rows of the goals that are done, as `%%gptoss_tune` reads them; written to `path` as JSONL.

    Raises InputError where none is done, and where the file is there already; StorageError.
    """
    rows = [_row(node.tries[-1]) for node in board.nodes if node.state == "done"]
    if not rows:
        raise InputError(
            f"goals {board.name}: none is done, so there is nothing to learn from; reach one first"
        )
    if path is not None:
        with NewLines(Path(path).expanduser()) as file:
            for row in rows:
                file.add(json.dumps(row, ensure_ascii=False))
    return rows


def _row(one: GoalTry) -> dict[str, Any]:
    tools = [{"type": "function", "function": dict(tool)} for tool in one.tools]
    row: dict[str, Any] = {"messages": [_told(message) for message in _said(one)]}
    return {**row, "tools": tools} if tools else row


def _said(one: GoalTry) -> Iterator[Message]:
    """The conversation without the notes, which stand behind the user's words."""
    has_asked = False
    for message in one.messages:
        has_asked = has_asked or message.role == "user"
        if not (has_asked and message.role == "developer"):
            yield message


def _told(message: Message) -> dict[str, Any]:
    """A message as an object, without what is not said."""
    known = {
        "role": message.role,
        "channel": message.channel if message.role == "assistant" else None,
        "recipient": message.recipient if message.role == "assistant" else None,
        "content_type": message.content_type,
        "name": message.author,
        "content": message.content,
    }
    return {key: value for key, value in known.items() if value is not None}
