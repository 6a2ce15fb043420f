"""BFCL v4 (bfcl-eval): which function is called, with which values; no call where none fits.

Single calls only: gpt-oss makes one call in a turn, so the parallel and the multi-turn categories
are not asked. The check is our own, by the rules of the leaderboard's AST check: names and
required parameters, JSON types, one of the possible values; texts but for case, spaces and marks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, drawn, right_if
from gptoss_magic.evaluation.suites.packages import data_file, folder_of, version_of
from gptoss_magic.records import ToolSpec
from gptoss_magic.textfiles import read_json_lines
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from pathlib import Path

    from gptoss_magic.evaluation.suite import Opening
    from gptoss_magic.records import Answer, ToolCall

NAME, PACKAGE = "bfcl", "bfcl-eval"
CALLED = {"simple": "simple_python", "multiple": "multiple", "live_simple": "live_simple"}
CALLED |= {"live_multiple": "live_multiple"}
REFUSED = {"irrelevance": "irrelevance", "live_irrelevance": "live_irrelevance"}
CATEGORIES = CALLED | REFUSED
MIXED = ("simple", "multiple", "irrelevance")
TYPES = {"dict": "object", "float": "number", "tuple": "array"}
MARKS = re.compile(r"[ ,./\-_*^]")
HOW = "pip install --no-deps bfcl-eval (its other packages are not needed)"


def open_suite(opening: Opening) -> Suite:
    """A category, several joined with +, or a mixture. Raises InputError, MissingPackage."""
    names = MIXED if opening.part == NAME else tuple(opening.part.split("+"))
    check_known("category", names, CATEGORIES)
    folder = folder_of("bfcl_eval", PACKAGE, HOW) / "data"
    items: list[SuiteItem] = []
    wanted: dict[str, Any] = {}
    for name in names:
        items += _items(folder, name)
        if name in CALLED:
            wanted |= _answers(folder, name)

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        if item.kind in REFUSED:
            return right_if(not answer.tool_calls, "a function was called that does not fit")
        return called(item.tools, wanted[item.id], answer.tool_calls)

    chosen = drawn(items, opening)
    return Suite(NAME, chosen, grade, version_of(PACKAGE), "our own check of calls", 512)


def called(
    tools: tuple[ToolSpec, ...], wanted: dict[str, Any], calls: tuple[ToolCall, ...]
) -> Verdict:
    """Whether the one call is `wanted`: {function: {parameter: possible values}}."""
    if len(calls) != 1:
        return right_if(False, f"{len(calls)} calls where one was due")
    call, (function, possible) = calls[0], next(iter(wanted.items()))
    name = call.name.rpartition("functions.")[2]
    if name != plain_name(function):
        return right_if(False, f"{name} was called")
    if call.arguments is None:
        return right_if(False, "arguments that are no JSON object")
    schema = next(tool.parameters or {} for tool in tools if tool.name == name)
    return _arguments(call.arguments, possible, schema)


def _arguments(said: dict[str, Any], possible: dict[str, Any], schema: dict[str, Any]) -> Verdict:
    missing = [name for name in schema.get("required", ()) if name not in said]
    missing += [name for name, values in possible.items() if name not in said and "" not in values]
    if missing:
        return right_if(False, f"{missing[0]} is missing")
    known = schema.get("properties", {})
    for name, value in said.items():
        if name not in known or name not in possible:
            return right_if(False, f"there is no {name}")
        if not _has_type(value, known[name].get("type"), possible[name]):
            return right_if(False, f"{name} is of another type")
        if not any(fits(value, one) for one in possible[name] if one != "" or value == ""):
            return right_if(False, f"{name} has another value")
    return right_if(True)


def _has_type(value: Any, kind: Any, possible: list[Any]) -> bool:
    """True for the schema's type; else for the type that the possible values have."""
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if kind == "number" and type(value) in (int, float):
        return True
    if kind != "number" and type(value) is kinds.get(kind, type(value)):
        return True
    return any(type(value) is type(one) for one in possible if one != "")


def fits(value: Any, wanted: Any) -> bool:
    """True where `value` is `wanted`. An object's fields have lists of values, '' for none."""
    if isinstance(wanted, str) or isinstance(value, str):
        return isinstance(value, str) and isinstance(wanted, str) and _bare(value) == _bare(wanted)
    if isinstance(wanted, list):
        same = isinstance(value, list) and len(value) == len(wanted)
        return same and all(fits(*pair) for pair in zip(value, wanted, strict=True))
    if isinstance(wanted, dict):
        return isinstance(value, dict) and (value == wanted or _fields_fit(value, wanted))
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    return bool(value == wanted)


def _fields_fit(value: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if not value.keys() <= wanted.keys():
        return False
    for name, options in wanted.items():
        values = options if isinstance(options, list) else [options]
        if name not in value:
            if "" not in values:
                return False
        elif not any(fits(value[name], one) for one in values) and not fits(value[name], options):
            return False
    return True


def _bare(text: str) -> str:
    return MARKS.sub("", text).lower().replace("'", '"')


def _items(folder: Path, category: str) -> list[SuiteItem]:
    path = data_file(folder, f"BFCL_v4_{CATEGORIES[category]}.json", PACKAGE)
    return [_item(row, category) for _, row in read_json_lines(path)]


def _item(row: dict[str, Any], category: str) -> SuiteItem:
    talk = row["question"][0]
    system = "\n\n".join(one["content"] for one in talk if one["role"] == "system")
    asked = "\n\n".join(one["content"] for one in talk if one["role"] == "user")
    tools = tuple(_tool(one) for one in row["function"])
    return SuiteItem(row["id"], asked, system=system, tools=tools, kind=category)


def _answers(folder: Path, category: str) -> dict[str, Any]:
    path = data_file(folder / "possible_answer", f"BFCL_v4_{CATEGORIES[category]}.json", PACKAGE)
    return {row["id"]: row["ground_truth"][0] for _, row in read_json_lines(path)}


def _tool(function: dict[str, Any]) -> ToolSpec:
    parameters = _schema(function["parameters"])
    return ToolSpec(plain_name(function["name"]), function["description"], parameters)


def plain_name(name: str) -> str:
    """A name as harmony can write it; the leaderboard does the same for OpenAI's models."""
    return name.replace(".", "_")


def _schema(schema: Any) -> Any:
    """A JSON schema of Python's names of types."""
    if isinstance(schema, list):
        return [_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _schema(value) for name, value in schema.items()}
    if isinstance(made.get("type"), str):
        made["type"] = TYPES.get(made["type"], made["type"])
        if made["type"] == "any":
            del made["type"]
    return made
