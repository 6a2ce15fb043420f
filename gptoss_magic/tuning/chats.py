"""One record as a `Row`: a list of messages, checked, as harmony has them.

Harmony has a message for each thing that is said: reasoning, a call and an answer are three. It
calls one tool at a time, so that calls made together stand with their results one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import SystemSettings, developer_message, system_message
from gptoss_magic.records import Message
from gptoss_magic.tuning import marks
from gptoss_magic.tuning.calls import SPACE, bare_name, call_of, harmony_call, tool_of
from gptoss_magic.tuning.columns import (
    EFFORTS,
    SYSTEMS,
    TOOLS,
    Columns,
    messages_of,
)
from gptoss_magic.tuning.data import Row, turns_of
from gptoss_magic.tuning.fields import OPENING, content_of, role_of, thought_of, unread_of
from gptoss_magic.tuning.notes import RowNotes
from gptoss_magic.tuning.values import (
    is_empty,
    json_of,
    list_of,
    present,
    text_of,
    without_surrogates,
)
from gptoss_magic.tuning.written import CHANNELS, taken_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.tuning.calls import Tools

DATE = "2025-01-01"  # of the system message where a row has none: a run shall repeat


def row_of(record: Any) -> Row:
    """A row of one record. Raises InputError that says what is wrong with it."""
    return read_row(record, RowNotes())


def read_row(record: Any, notes: RowNotes) -> Row:
    """As `row_of`; what was read, mended and not read goes to `notes`."""
    if isinstance(record, Row):
        return record
    if isinstance(record, (list, tuple)):
        if all(isinstance(m, Message) for m in record):
            return _checked([(message, True) for message in record])
        record = {"messages": record}
    if not isinstance(record, dict):
        raise InputError(f"{type(record).__name__}, not an object with prompt and answer")
    columns = Columns(without_surrogates(record, notes), notes)
    specs = [tool_of(one, notes) for one in list_of(columns.one(TOOLS, "tools"), "tools")]
    chat = _Chat({spec.name: spec for spec in specs}, notes)
    for number, one in enumerate(messages_of(columns), 1):
        try:
            chat.add(one)
        except InputError as error:
            raise InputError(f"message {number}: {error}") from error
    row = _opened(chat.close(), columns, specs)
    columns.finish()
    return row


Said = list[tuple[Message, bool]]  # messages, and whether they are trained


def _opened(said: Said, columns: Columns, tools: Sequence[Any]) -> Row:
    """With a system message in front, and a developer message of instructions and tools."""
    count = next((n for n, (m, _) in enumerate(said) if m.role not in OPENING), len(said))
    if any(message.role in OPENING for message, _ in said[count:]):
        raise InputError("a system or developer message that does not stand in front")
    system = columns.one(SYSTEMS, "instructions")
    effort = columns.one(EFFORTS, "effort") or "medium"
    if any("# Valid channels" in message.content for message, _ in said[:count]):
        return _checked(said)  # harmony's own system message stays as it is
    parts = [] if is_empty(system) else [text_of(system, "system")]
    parts += [message.content for message, _ in said[:count]]
    settings = SystemSettings(effort=effort, current_date=DATE, has_tools=bool(tools))
    opening = [system_message(settings)]
    instructions = "\n\n".join(filter(str.strip, parts))
    if instructions or tools:
        opening.append(developer_message(instructions, tools))
    return _checked([*((message, True) for message in opening), *said[count:]])


def _checked(said: Said) -> Row:
    """The row. Raises InputError where it would teach nothing, or reasoning without an answer."""
    messages = tuple(message for message, _ in said)
    if not messages or messages[-1].role != "assistant":
        raise InputError("it does not end with an answer of the assistant")
    if not any(message.role == "user" for message in messages):
        raise InputError("it has no message of the user")
    untrained = frozenset(n for n, (m, on) in enumerate(said) if m.role == "assistant" and not on)
    row = Row(messages, untrained)
    for _, end in turns_of(row):
        last = messages[end - 1]
        if last.channel == "analysis" and not last.recipient and end - 1 not in untrained:
            raise InputError(f"reasoning without an answer or a call ({last.content!r:.40})")
    if untrained >= {n for n, m in enumerate(messages) if m.role == "assistant"}:
        raise InputError("each of its turns is marked as not to be trained")
    return row


class _Chat:
    """Messages so far, and calls that wait for their results: (id, call)."""

    def __init__(self, tools: Tools, notes: RowNotes) -> None:
        self.tools, self.notes = tools, notes
        self.said: Said = []
        self.waiting: list[tuple[Any, Message]] = []
        self.is_trained = True  # the message that is read now, or whose calls wait

    def add(self, one: Any) -> None:
        if isinstance(one, Message):
            return self._harmony(one)
        if not isinstance(one, dict):
            raise InputError("it has no role")
        role, content = role_of(one), content_of(one)
        self.notes.unread += [f"messages.{name}" for name in unread_of(one, role)]
        if role == "tool":
            return self._result(one, content)
        if self.waiting:
            raise InputError(f"{role} speaks before {self.waiting[0][1].recipient} gave its result")
        if role in ("assistant", "call"):
            self.is_trained = marks.is_trained(one)
            return self._assistant(one, content) if role == "assistant" else self._calls(content)
        if role == "user" and not content.strip():
            raise InputError("the user says nothing")
        return self._say(Message(role, content), is_trained=True)

    def close(self) -> Said:
        """All messages; a call without a result may be the last."""
        if len(self.waiting) > 1:
            raise InputError("several calls at the end: harmony calls one tool at a time")
        return self.said + [(call, self.is_trained) for _, call in self.waiting]

    def _say(self, message: Message, *, is_trained: bool | None = None) -> None:
        on = self.is_trained if is_trained is None else is_trained
        self.said.append((message, on))

    def _harmony(self, message: Message) -> None:
        """A message of harmony's own; a call of a function is checked."""
        if message.role == "assistant" and message.recipient:
            message = harmony_call(message, self.tools, self.notes)
        self._say(message, is_trained=True)

    def _assistant(self, one: Mapping[str, Any], content: str) -> None:
        """Reasoning, then a call's preamble and the calls, or the answer."""
        calls = list_of(one.get("tool_calls"), "tool_calls")
        old_call = present(one.get("function_call"))
        if not is_empty(old_call):
            calls.append(
                json_of(old_call, "function_call") if isinstance(old_call, str) else old_call
            )
        channel = present(one.get("channel"))
        if channel not in (None, *CHANNELS):
            raise InputError(f"channel {channel!r}: there are {', '.join(CHANNELS)}")
        if channel in ("analysis", "commentary") or present(one.get("recipient")):
            return self._own(one, content, channel, calls)
        written = taken_apart(content, self.notes)
        thoughts = dict.fromkeys(filter(None, (thought_of(one), written.thought)))
        for thought in thoughts:
            self._say(Message("assistant", thought, "analysis"))
        for message in written.messages:
            self._say(
                harmony_call(message, self.tools, self.notes) if message.recipient else message
            )
        calls += written.calls
        if written.said.strip():
            self._say(Message("assistant", written.said, "commentary" if calls else "final"))
        self.waiting = [call_of(call, self.tools, self.notes) for call in calls]
        if not (thoughts or written.messages or written.said.strip() or calls):
            raise InputError("the assistant says and calls nothing")
        return None

    def _own(
        self, one: Mapping[str, Any], content: str, channel: str | None, calls: list[Any]
    ) -> None:
        """A message that names its channel or recipient: harmony's, in an object."""
        thought, recipient = thought_of(one), present(one.get("recipient"))
        if thought:
            self._say(Message("assistant", thought, "analysis"))
        if content:
            to_tool = recipient or calls
            place = channel or ("commentary" if to_tool else "final")
            message = Message(
                "assistant", content, place, recipient, present(one.get("content_type"))
            )
            checked = harmony_call(message, self.tools, self.notes) if recipient else message
            self._say(checked)
        self.waiting = [call_of(call, self.tools, self.notes) for call in calls]
        if not (thought or content or calls):
            raise InputError("the assistant says and calls nothing")

    def _calls(self, content: str) -> None:
        """ShareGPT's call: JSON text of one call or a list of them."""
        calls = json_of(content, "the call")
        several = calls if isinstance(calls, list) else [calls]
        self.waiting = [call_of(call, self.tools, self.notes) for call in several]

    def _result(self, one: Mapping[str, Any], content: str) -> None:
        """A tool's result, behind the call that it answers.

        One that gpt-oss knows by heart (`python`, `browser.open`) answers in the call's channel.
        """
        before = self.said[-1][0] if self.said else None
        native = (before and before.recipient) or ""
        if before and native and one.get("name") == native and not native.startswith(SPACE):
            self._say(Message("tool", content, before.channel, "assistant", author=native))
            return
        index = _index(one, self.waiting, self.notes)
        author = None
        if index is not None:
            call = self.waiting.pop(index)[1]
            self._say(call)
            author = call.recipient
        elif present(one.get("name")) is not None:
            author = _author(one["name"], self.notes)
        elif self.said:
            author = self.said[-1][0].recipient  # a call in harmony's own form
        if author is None:
            raise InputError("a tool's result without the tool's name or a call")
        self._say(Message("tool", content, "commentary", "assistant", author=author))


def _author(name: Any, notes: RowNotes) -> str:
    """`functions.f` of `f`; other names with a dot are a built-in tool's, as browser.search."""
    if isinstance(name, str) and "." in name.removeprefix(SPACE):
        return name if not name.startswith(SPACE) else SPACE + bare_name(name, notes)
    return SPACE + bare_name(str(name).removeprefix(SPACE), notes)


def _index(
    one: Mapping[str, Any], waiting: Sequence[tuple[Any, Message]], notes: RowNotes
) -> int | None:
    """Which waiting call a result answers: by id, by name, or the first."""
    key, name = present(one.get("tool_call_id")), present(one.get("name"))
    wanted = SPACE + bare_name(name, notes) if isinstance(name, str) and waiting else None
    for index, (other, call) in enumerate(waiting):
        if (key is not None and key == other) or call.recipient == wanted:
            return index
    if waiting and (key is not None or name is not None) and waiting[0][0] is not None:
        raise InputError(f"a result of {key or name}, which was not called")
    return 0 if waiting else None
