"""Rows from what people have: a cell's body, files, DataFrames, data sets, lists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.harmony import SystemSettings, developer_message, system_message
from gptoss_magic.records import Message, ToolSpec
from gptoss_magic.tuning.data import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DATE = "2025-01-01"  # of the system message where a row has none: a run shall repeat
ARROW = re.compile(r"\s*(.+?)\s*(?:→|->)\s*(.+?)\s*")
ANSWERS = ("completion", "answer", "response", "output", "final")
PROMPTS = ("prompt", "question", "instruction", "user")
THOUGHTS = ("analysis", "thinking", "reasoning_content", "reasoning")
MOST_ERRORS = 3


def read_rows(source: str | None, body: str, names: Mapping[str, Any]) -> list[Row]:
    """Rows of a cell: of its `body`, or of `source`, a variable among `names` or a file.

    Records have `messages` (role, content, and thinking or tool_calls, as TRL's), or a prompt and
    an answer (also instruction, input, output), with analysis and system where there are.
    Raises InputError that names the first bad rows; nothing is skipped.
    """
    if source and body.strip():
        raise InputError(f"{source} and a body: give one of them")
    records = records_of(source, names) if source else body_records(body)
    rows, wrong = [], []
    for number, record in enumerate(records, 1):
        try:
            rows.append(row_of(record))
        except InputError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        more = f" (and {len(wrong) - MOST_ERRORS} more)" if len(wrong) > MOST_ERRORS else ""
        raise InputError("; ".join(wrong[:MOST_ERRORS]) + more)
    if not rows:
        raise InputError("no rows: the data is empty")
    return rows


def records_of(source: str, names: Mapping[str, Any]) -> list[Any]:
    """The records of a variable or a file."""
    if source in names:
        return _listed(source, names[source])
    path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(f"{source}: neither a variable of the notebook nor a file")
    readers = {".jsonl": _json_lines, ".json": _json, ".csv": _table, ".parquet": _table}
    readers |= {".yaml": _yaml_file, ".yml": _yaml_file}
    if path.suffix not in readers:
        raise InputError(f"{source}: give a {', '.join(readers)} file")
    return readers[path.suffix](path)


def body_records(body: str) -> list[Any]:
    """JSON lines, `prompt → answer` lines, or YAML."""
    lines = [line for line in body.splitlines() if line.strip()]
    if all(line.lstrip().startswith("{") for line in lines):
        return [_loads(line, f"line {number}") for number, line in enumerate(lines, 1)]
    found = [ARROW.fullmatch(line) for line in lines]
    if all(found):
        return [{"prompt": m[1], "answer": m[2]} for m in found if m]
    return _yaml(body)


def row_of(record: Any) -> Row:
    """A row of one record. Raises InputError that says what is wrong with it."""
    if isinstance(record, Row):
        return record
    if isinstance(record, (list, tuple)) and all(isinstance(m, Message) for m in record):
        return _checked(list(record))
    if not isinstance(record, dict):
        raise InputError(f"{type(record).__name__}, not an object with prompt and answer")
    tools = [_tool(one) for one in _value(record, "tools") or ()]
    if _value(record, "messages") is not None:
        return _opened(_messages(record["messages"]), record, tools)
    prompt, answer = _first(record, PROMPTS), _first(record, ANSWERS)
    if prompt is None or answer is None:
        what = "prompt" if prompt is None else "answer"
        raise InputError(f"no {what}; it has {', '.join(map(str, record)) or 'nothing'}")
    if isinstance(prompt, list) or isinstance(answer, list):
        return _opened(
            _messages([*_as_list(prompt, "user"), *_as_list(answer, "assistant")]), record, tools
        )
    more = _value(record, "input")
    said = f"{_text(prompt, 'prompt')}\n\n{more}" if more else _text(prompt, "prompt")
    turn = [Message("assistant", _text(answer, "answer"), "final")]
    thought = _first(record, THOUGHTS)
    if thought:
        turn.insert(0, Message("assistant", _text(thought, "analysis"), "analysis"))
    return _opened([Message("user", said), *turn], record, tools)


def _opened(messages: list[Message], record: Mapping[str, Any], tools: Sequence[ToolSpec]) -> Row:
    """With a system message in front, and a developer message of instructions and tools."""
    said = [m for m in messages if m.role in ("system", "developer")]
    rest = [m for m in messages if m.role not in ("system", "developer")]
    given = _value(record, "system")
    instructions = "\n\n".join([*([str(given)] if given else []), *(m.content for m in said)])
    effort = _value(record, "effort") or "medium"
    settings = SystemSettings(effort=effort, current_date=DATE, has_tools=bool(tools))
    opening = [system_message(settings)]
    if instructions or tools:
        opening.append(developer_message(instructions, tools))
    return _checked([*opening, *rest])


def _checked(messages: list[Message]) -> Row:
    if not messages or messages[-1].role != "assistant":
        raise InputError("it does not end with an answer of the assistant")
    if not any(message.role == "user" for message in messages):
        raise InputError("it has no message of the user")
    return Row(tuple(messages))


def _messages(given: Any) -> list[Message]:
    if not isinstance(given, (list, tuple)) and not hasattr(given, "tolist"):
        raise InputError("messages is no list")
    found: list[Message] = []
    for one in given:
        found += [one] if isinstance(one, Message) else _message(one, found)
    return found


def _message(one: Any, before: Sequence[Message]) -> list[Message]:
    """OpenAI's and TRL's message as harmony's: thoughts and tool calls are messages too."""
    if not isinstance(one, dict) or not isinstance(one.get("role"), str):
        raise InputError("a message without a role")
    role, content = one["role"], one.get("content")
    if content is not None and not isinstance(content, str):
        raise InputError(f"a message of {role} whose content is no text")
    if role in ("system", "developer", "user"):
        return [Message(role, content or "")]
    if role in ("tool", "function"):
        return [_result(one, content or "", before)]
    if role != "assistant":
        raise InputError(f"a message of {role!r}: give system, developer, user, assistant or tool")
    thought = _first(one, THOUGHTS)
    found = [Message("assistant", _text(thought, "thinking"), "analysis")] if thought else []
    found += [_call(call) for call in one.get("tool_calls") or ()]
    if content:
        found.append(Message("assistant", content, one.get("channel") or "final"))
    if not found:
        raise InputError("a message of the assistant without text or call")
    return found


def _call(call: Any) -> Message:
    function = call.get("function", call) if isinstance(call, dict) else {}
    name, arguments = function.get("name"), function.get("arguments", {})
    if not isinstance(name, str):
        raise InputError("a tool call without a name")
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return Message("assistant", raw, "commentary", f"functions.{name}", "<|constrain|>json")


def _result(one: Mapping[str, Any], content: str, before: Sequence[Message]) -> Message:
    called = next((m.recipient for m in reversed(before) if m.recipient), None)
    name = f"functions.{one['name']}" if one.get("name") else called
    if name is None:
        raise InputError("a tool's result without the tool's name or call")
    return Message("tool", content, "commentary", "assistant", author=name)


def _tool(one: Any) -> ToolSpec:
    function = one.get("function", one) if isinstance(one, dict) else {}
    if not isinstance(function.get("name"), str):
        raise InputError("a tool without a name")
    return ToolSpec(
        function["name"], function.get("description") or "", function.get("parameters") or {}
    )


def _as_list(value: Any, role: str) -> list[Any]:
    return value if isinstance(value, list) else [{"role": role, "content": value}]


def _value(record: Mapping[str, Any], name: str) -> Any:
    """The field, or None where it is missing or a table's empty cell (NaN)."""
    value = record.get(name)
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 (NaN)


def _first(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((v for name in names if (v := _value(record, name)) is not None), None)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{what} is empty or no text")
    return value


def _listed(name: str, value: Any) -> list[Any]:
    """Records of a DataFrame, a data set (rows by iteration), or any list of records."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return list(value.to_dict("records"))
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise InputError(f"{name}: {type(value).__name__} holds no rows")
    if isinstance(value, dict):
        raise InputError(f"{name}: a dict; choose one of its values, {', '.join(map(str, value))}")
    return list(value)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}; give a file in UTF-8") from error


def _json_lines(path: Path) -> list[Any]:
    lines = enumerate(_read(path).splitlines(), 1)
    return [_loads(line, f"{path}, line {number}") for number, line in lines if line.strip()]


def _json(path: Path) -> list[Any]:
    found = _loads(_read(path), str(path))
    if not isinstance(found, list):
        raise InputError(f"{path}: holds no list of rows")
    return found


def _loads(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: no JSON ({error})") from error


def _yaml_file(path: Path) -> list[Any]:
    return _yaml(_read(path))


def _yaml(text: str) -> list[Any]:
    """A list of records, or a mapping of prompts to answers."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())
        raise InputError(f"neither JSON lines nor YAML: {first}") from error
    if isinstance(found, dict):
        return [{"prompt": str(prompt), "answer": answer} for prompt, answer in found.items()]
    if isinstance(found, list):
        return found
    raise InputError("no rows: write JSON lines, `prompt → answer` lines, or a YAML mapping")


def _table(path: Path) -> list[Any]:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPackage(f"{path} needs pandas: pip install 'gptoss_magic[map]'") from error
    reader = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
    try:
        return list(reader(path).to_dict("records"))
    except Exception as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
