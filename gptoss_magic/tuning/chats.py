"""One record as a `Row`: OpenAI's and TRL's conversations, prompt and answer, alpaca's columns.

Harmony has a message for each thing that is said: reasoning, a call and an answer are three. It
calls one tool at a time, so that calls made together stand with their results one by one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import SystemSettings, developer_message, system_message
from gptoss_magic.records import Message, ToolSpec
from gptoss_magic.tuning.data import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DATE = "2025-01-01"  # of the system message where a row has none: a run shall repeat
ANSWERS = ("completion", "answer", "response", "output", "final")
PROMPTS = ("prompt", "question", "instruction", "user")
THOUGHTS = ("analysis", "thinking", "reasoning_content", "reasoning")
CHANNELS = ("analysis", "commentary", "final")
OPENING = ("system", "developer")


def row_of(record: Any) -> Row:
    """A row of one record. Raises InputError that says what is wrong with it."""
    if isinstance(record, Row):
        return record
    if isinstance(record, (list, tuple)) and all(isinstance(m, Message) for m in record):
        return _checked(list(record))
    if not isinstance(record, dict):
        raise InputError(f"{type(record).__name__}, not an object with prompt and answer")
    talk = _value(record, "messages")
    return _opened(_pair(record) if talk is None else _messages(talk), record)


def _pair(record: Mapping[str, Any]) -> list[Message]:
    """Messages of prompt and answer: texts, or TRL's lists of messages."""
    prompt, answer = _first(record, PROMPTS), _first(record, ANSWERS)
    if prompt is None or answer is None:
        what = "prompt" if prompt is None else "answer"
        raise InputError(f"no {what}; it has {', '.join(map(str, record)) or 'nothing'}")
    thought = _thought(record)
    if isinstance(prompt, list) or isinstance(answer, list):
        said = answer if isinstance(answer, list) else [{"role": "assistant", "content": answer}]
        asked = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        return _messages([*asked, *thought, *said])
    more = _value(record, "input")
    parts = [_text(prompt, "prompt"), *([_text(more, "input")] if more not in (None, "") else [])]
    final = Message("assistant", _text(answer, "answer"), "final")
    return [Message("user", "\n\n".join(parts)), *thought, final]


def _opened(messages: list[Message], record: Mapping[str, Any]) -> Row:
    """With a system message in front, and a developer message of instructions and tools."""
    said = [m for m in messages if m.role in OPENING]
    if any(message.role in OPENING for message in messages[len(said) :]):
        raise InputError("a system or developer message that does not stand in front")
    tools = [_tool(one) for one in _listing(record, "tools")]
    given = _value(record, "system")
    parts = [*([_text(given, "system")] if given else []), *(m.content for m in said)]
    effort = _value(record, "effort") or "medium"
    settings = SystemSettings(effort=effort, current_date=DATE, has_tools=bool(tools))
    opening = [system_message(settings)]
    instructions = "\n\n".join(filter(None, parts))
    if instructions or tools:
        opening.append(developer_message(instructions, tools))
    return _checked([*opening, *messages[len(said) :]])


def _checked(messages: list[Message]) -> Row:
    if not messages or messages[-1].role != "assistant":
        raise InputError("it does not end with an answer of the assistant")
    if not any(message.role == "user" for message in messages):
        raise InputError("it has no message of the user")
    return Row(tuple(messages))


def _messages(given: Any) -> list[Message]:
    if not isinstance(given, (list, tuple)):
        raise InputError("messages is no list")
    chat = _Chat()
    for number, one in enumerate(given, 1):
        try:
            chat.add(one)
        except InputError as error:
            raise InputError(f"message {number}: {error}") from error
    return chat.close()


class _Chat:
    """Messages so far, and calls that wait for their results: (id, call)."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.waiting: list[tuple[Any, Message]] = []

    def add(self, one: Any) -> None:
        if isinstance(one, Message):
            return self.messages.append(one)
        if not isinstance(one, dict) or not isinstance(one.get("role"), str):
            raise InputError("it has no role")
        role, content = one["role"], _content(one.get("content"))
        if role in ("tool", "function"):
            return self._result(one, content)
        if self.waiting:
            raise InputError(f"{role} speaks before {self.waiting[0][1].recipient} gave its result")
        if role == "assistant":
            return self._assistant(one, content)
        if role not in (*OPENING, "user"):
            raise InputError(f"role {role!r}: give system, developer, user, assistant or tool")
        if role == "user" and not content.strip():
            raise InputError("the user says nothing")
        return self.messages.append(Message(role, content))

    def close(self) -> list[Message]:
        """All messages; a call without a result may be the last."""
        if len(self.waiting) > 1:
            raise InputError("several calls at the end: harmony calls one tool at a time")
        return self.messages + [call for _, call in self.waiting]

    def _assistant(self, one: Mapping[str, Any], content: str) -> None:
        """Reasoning, then a call's preamble and the calls, or the answer."""
        thought, calls = _thought(one), _listing(one, "tool_calls")
        self.messages += thought
        channel = one.get("channel") or ("commentary" if calls else "final")
        if channel not in CHANNELS:
            raise InputError(f"channel {channel!r}: there are {', '.join(CHANNELS)}")
        if content:
            to, kind = one.get("recipient"), one.get("content_type")
            self.messages.append(Message("assistant", content, channel, to, kind))
        self.waiting = [_call(call) for call in calls]
        if not (thought or content or calls):
            raise InputError("the assistant says and calls nothing")

    def _result(self, one: Mapping[str, Any], content: str) -> None:
        """A tool's result, behind the call that it answers."""
        index = _index(one, self.waiting)
        name = one.get("name")
        if index is not None:
            call = self.waiting.pop(index)[1]
            self.messages.append(call)
            name = call.recipient
        elif name is None and self.messages:
            name = self.messages[-1].recipient  # a call in harmony's own form
        if not isinstance(name, str):
            raise InputError("a tool's result without the tool's name or a call")
        author = name if "." in name else f"functions.{name}"
        self.messages.append(Message("tool", content, "commentary", "assistant", author=author))


def _index(one: Mapping[str, Any], waiting: Sequence[tuple[Any, Message]]) -> int | None:
    """Which waiting call a result answers: by id, by name, or the first."""
    key, name = one.get("tool_call_id"), one.get("name")
    for index, (other, call) in enumerate(waiting):
        if (key is not None and key == other) or call.recipient == f"functions.{name}":
            return index
    if waiting and (key is not None or name is not None) and waiting[0][0] is not None:
        raise InputError(f"a result of {key or name}, which was not called")
    return 0 if waiting else None


def _call(call: Any) -> tuple[Any, Message]:
    """(id, message) of one of OpenAI's tool calls."""
    function = call.get("function", call) if isinstance(call, dict) else {}
    name, arguments = function.get("name"), function.get("arguments", {})
    if not isinstance(name, str):
        raise InputError("a tool call without a name")
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    message = Message("assistant", raw, "commentary", f"functions.{name}", "<|constrain|>json")
    return call.get("id"), message


def _tool(one: Any) -> ToolSpec:
    function = one.get("function", one) if isinstance(one, dict) else {}
    if not isinstance(function.get("name"), str):
        raise InputError("a tool without a name")
    about, parameters = function.get("description") or "", function.get("parameters") or {}
    return ToolSpec(function["name"], about, parameters)


def _content(content: Any) -> str:
    """Text, or OpenAI's list of parts of text."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        found = [part for part in parts if isinstance(part, str)]
        if len(found) < len(parts):
            raise InputError("a part of its content is no text")
        return "".join(found)
    if not isinstance(content, str):
        raise InputError(f"its content is no text but {type(content).__name__}")
    return content


def _listing(record: Mapping[str, Any], name: str) -> list[Any]:
    """A list, or one written as JSON text; empty where there is none."""
    value = _value(record, name)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is no JSON ({error})") from error
    if value and not isinstance(value, (list, tuple)):
        raise InputError(f"{name} is no list")
    return list(value or ())


def _thought(record: Mapping[str, Any]) -> list[Message]:
    """The reasoning as a message; none where it is missing or blank."""
    found = _first(record, THOUGHTS)
    if found is None or (isinstance(found, str) and not found.strip()):
        return []
    return [Message("assistant", _text(found, "analysis"), "analysis")]


def _value(record: Mapping[str, Any], name: str) -> Any:
    """The field, or None where it is missing or a table's empty cell (NaN, NA)."""
    value = record.get(name)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 (NaN)


def _first(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    found = (_value(record, name) for name in names)
    given = [value for value in found if value is not None]
    return next((value for value in given if value != ""), given[0] if given else None)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{what} is no text but {type(value).__name__} ({value!r:.40})")
    if not value.strip():
        raise InputError(f"{what} is empty")
    return value
