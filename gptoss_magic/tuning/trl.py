"""Rows as conversations that TRL and Axolotl read: OpenAI's messages, reasoning as `thinking`.

A turn that is context only has `train: false`, which Axolotl heeds and TRL does not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Message
    from gptoss_magic.tuning.data import Row

TRAINED = "train"  # Axolotl's field for a turn's mark
INSTRUCTIONS, TOOLS = "# Instructions\n\n", "# Tools\n\n"


def trl_lines(rows: Sequence[Row]) -> tuple[str, list[str]]:
    """(JSON lines, what they cannot say): TRL's conversations, reasoning as `thinking`."""
    lines, unsaid = [], []
    for number, row in enumerate(rows, 1):
        if any(m.role == "developer" and TOOLS in m.content for m in row.messages):
            unsaid.append(f"row {number}: its tools' definitions, which stay text")
        if row.untrained:
            unsaid.append(f"row {number}: to TRL, that some of its turns are not trained")
        lines.append(json.dumps({"messages": list(_chat(row))}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines), unsaid


def _chat(row: Row) -> Iterator[dict[str, Any]]:
    """OpenAI's messages: reasoning joins what follows it; harmony's system message is left out."""
    thought: dict[str, Any] = {}
    for number, message in enumerate(row.messages):
        if message.role == "system" and "# Valid channels" in message.content:
            continue  # the chat template writes it anew
        if message.role == "developer":
            yield {"role": "system", "content": message.content.removeprefix(INSTRUCTIONS)}
        elif message.role == "tool":
            name = (message.author or "").removeprefix("functions.")
            yield {"role": "tool", "name": name, "content": message.content}
        elif message.role != "assistant":
            yield {"role": message.role, "content": message.content}
        elif message.channel == "analysis" and not message.recipient:
            before = f"{thought['thinking']}\n\n" if thought else ""
            thought = {"thinking": before + message.content}
        else:
            mark = {TRAINED: False} if number in row.untrained else {}
            yield {"role": "assistant", **thought, **_said(message), **mark}
            thought = {}


def _said(message: Message) -> dict[str, Any]:
    if message.recipient:
        name = message.recipient.removeprefix("functions.")
        call = {"type": "function", "function": {"name": name, "arguments": message.content}}
        return {"content": "", "tool_calls": [call]}
    channel = {} if message.channel in (None, "final") else {"channel": message.channel}
    return {"content": message.content, **channel}
