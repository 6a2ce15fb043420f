"""The question before a tool runs, in a notebook or a terminal."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from gptoss_magic.agents.consent import Reply
    from gptoss_magic.agents.tools import Tool

REPLIES: dict[str, Reply] = {
    "y": "yes",
    "yes": "yes",
    "n": "no",
    "no": "no",
    "a": "always",
    "always": "always",
}
QUESTION = "Run it? y: yes, n: no, a: always in this session "
MARGIN = "    "


def ask(shell: Any, tool: Tool, arguments: dict[str, Any], note: str) -> Reply | None:
    """Show the call with all its arguments and ask; None where nobody can be asked."""
    if not can_ask(shell):
        return None
    print(question(tool, arguments, note), flush=True)
    while True:
        reply = answer(shell, QUESTION)
        if reply is None:
            return None
        if reply.strip().lower() in REPLIES:
            return REPLIES[reply.strip().lower()]


def confirm(shell: Any, text: str) -> bool | None:
    """A yes or no; None where nobody can be asked."""
    if not can_ask(shell):
        return None
    print(text, flush=True)
    reply = answer(shell, "y: yes, anything else: no ")
    return reply is not None and reply.strip().lower() in ("y", "yes")


def check_agreed(shell: Any, path: str, text: str, *, is_yes: bool) -> None:
    """Raise InputError where the user does not agree that a file is written, or cannot be asked.

    `is_yes`: the line agreed already.
    """
    if is_yes:
        return
    reply = confirm(shell, text)
    if reply is None:
        raise InputError(
            f"{path}: nothing is written, as nobody can be asked; see the list, then --yes"
        )
    if not reply:
        raise InputError(f"{path}: not agreed to, so nothing is written; run it again to agree")


def can_ask(shell: Any) -> bool:
    """True where the front end takes input: it says so with each cell; else in a terminal."""
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", True))
    return sys.stdin is not None and sys.stdin.isatty()


def answer(shell: Any, prompt: str) -> str | None:
    """What the user typed; None where the input is closed."""
    from IPython.core.error import StdinNotImplementedError

    kernel = getattr(shell, "kernel", None)
    try:
        return str(input(prompt) if kernel is None else kernel.raw_input(prompt))
    except (EOFError, StdinNotImplementedError):
        return None


def question(tool: Tool, arguments: dict[str, Any], note: str) -> str:
    """The call as the user must see it: whose tool, and every argument in full."""
    lines = [f"The model wants to call {tool.name} ({visible(tool.origin)}):"]
    for name, value in arguments.items():
        lines += _argument(name, value)
    if not arguments:
        lines.append(f"{MARGIN}without arguments")
    return "\n".join([*lines, f"{MARGIN}({visible(note)})"] if note else lines)


def visible(text: str) -> str:
    """`text` with what does not show, or moves the cursor or the reading order, spelt out."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else f"\\u{ord(letter):04x}"
        for letter in text
    )


def _argument(name: str, value: Any) -> list[str]:
    """`name = value`; a text of several lines below its name, as it stands."""
    if isinstance(value, str) and "\n" in value:
        body = visible(value).split("\n")
        return [f"{MARGIN}{name}:", *(f"{MARGIN}{MARGIN}{line}" for line in body)]
    written = visible(json.dumps(value, ensure_ascii=False, default=str))
    return [f"{MARGIN}{name} = {written}"]
