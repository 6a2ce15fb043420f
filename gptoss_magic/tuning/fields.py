"""What one message's object says: its role, its text and the reasoning beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning import marks
from gptoss_magic.tuning.columns import THOUGHTS
from gptoss_magic.tuning.values import is_empty, present, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENING = ("system", "developer")
CONTENTS = ("content", "value", "text")
TEXTS = {"role", "from", *CONTENTS}
OF_ROLE: dict[str, set[str]] = {  # further fields that are read, by role
    "assistant": {
        *("tool_calls", "function_call", "channel", "recipient", "content_type"),
        *(*THOUGHTS, *marks.NAMES),
    },
    "call": {*marks.NAMES},
    "tool": {"name", "tool_call_id"},
}
ROLES = {  # ShareGPT's names and others'
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "bard", "bing", "model", "bot", "ai"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call", "function-call"), "call"),
    **dict.fromkeys(("observation", "function", "function_response", "tool_response"), "tool"),
    **dict.fromkeys(("ipython", "environment", "tool_result", "function_result"), "tool"),
}


def role_of(one: Mapping[str, Any]) -> str:
    """OpenAI's role, also of ShareGPT's names; 'call' for a message that is a call alone."""
    given = one.get("role") if not is_empty(one.get("role")) else one.get("from")
    if not isinstance(given, str):
        raise InputError("it has no role")
    role = ROLES.get(given.strip().casefold(), given.strip().casefold())
    if role not in (*OPENING, "user", "assistant", "tool", "call"):
        raise InputError(f"role {given!r}: give system, developer, user, assistant or tool")
    return role


def content_of(one: Mapping[str, Any]) -> str:
    """A message's text, or OpenAI's list of parts of text; ShareGPT's `value`."""
    content = _raw_content(one)
    if isinstance(content, list):
        parts = [part for part in content if not _is_thought(part)]
        said = [part.get("text") if isinstance(part, dict) else part for part in parts]
        texts = [text for text in said if isinstance(text, str)]
        if len(texts) < len(said):
            raise InputError("a part of its content is no text")
        return "".join(texts)
    if not isinstance(content, str):
        raise InputError(f"its content is no text but {type(content).__name__}")
    return content


def unread_of(one: Mapping[str, Any], role: str) -> list[str]:
    """Fields that hold something and are not read in a message of this role.

    A mark that says what is so anyway (a user's words are not trained) is no loss.
    """
    known = TEXTS | OF_ROLE.get(role, set())
    left = [name for name in one if name not in known and not is_empty(one[name])]
    if role not in ("assistant", "call"):
        left = [name for name in left if name not in marks.NAMES or marks.is_on(one, name)]
    return left


def _raw_content(one: Mapping[str, Any]) -> Any:
    """The text of whichever field has it. Raises InputError where two have different ones."""
    there = {name: present(one.get(name)) for name in CONTENTS}
    filled = {name: value for name, value in there.items() if not is_empty(value)}
    if any(value != next(iter(filled.values())) for value in filled.values()):
        raise InputError(f"{' and '.join(filled)} differ, and each may be its text; leave one")
    values = [value for value in (*filled.values(), *there.values()) if value is not None]
    return values[0] if values else ""


def _is_thought(part: Any) -> bool:
    """True for a part of content that is reasoning, as Mistral and Anthropic have it."""
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def thought_of(one: Mapping[str, Any]) -> str:
    """The reasoning beside an answer; '' where it is missing or blank."""
    filled = {name: present(one.get(name)) for name in THOUGHTS if not is_empty(one.get(name))}
    content = _raw_content(one)
    thoughts = list(filter(_is_thought, content if isinstance(content, list) else ()))
    parts = [content_of({"content": part.get("thinking") or part.get("text")}) for part in thoughts]
    if any(part.strip() for part in parts):
        filled["content"] = "\n\n".join(parts)
    if not filled:
        return ""
    if len(set(map(str, filled.values()))) > 1:
        raise InputError(f"{' and '.join(filled)} differ, and each may be analysis; leave one")
    return text_of(next(iter(filled.values())), "analysis")
