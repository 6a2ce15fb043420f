"""What a depth study's cell says: YAML or JSON, all of its values texts, no template of code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line
from gptoss_magic.tuning.sources import body_records, check_keys, read, read_list
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.tuning.notes import Reading

ANSWER = "answer"  # the checker that compares with the row's own answer


@dataclass(frozen=True)
class DepthBody:
    """The task and what must not break.

    `rows`: a variable's name, a file, or the rows. `checker`: 'answer' (the row's own), a function
    or its name. `rubric`: what a judge looks for, instead. `system`: instructions to try;
    `persona`: one to try, by name; left out, it is written from the rows. `tools`: functions or
    their names. `guards`: names, or {name: number of items}; None: all. `max_tokens` of an answer
    and `steps` of a trained rung; 0: chosen.
    """

    rows: Any = None
    checker: Any = ANSWER
    rubric: str = ""
    system: str = ""
    persona: str = ""
    tools: tuple[Any, ...] = ()
    guards: Any = None
    max_tokens: int = 0
    steps: int = 0


KEYS = tuple(field.name for field in fields(DepthBody))
TEXTS, NUMBERS = ("rubric", "system", "persona"), ("max_tokens", "steps")


def read_body(text: str, **line: Any) -> DepthBody:
    """The body of a cell; what the `line` says goes before it.

    Raises InputError: no YAML, an unknown key, a value that cannot be.
    """
    import yaml

    try:
        node: Any = yaml.compose(text, yaml.BaseLoader)
        for one in (node, *_inner(node)):
            check_keys(one)
        said = yaml.load(text, yaml.BaseLoader)  # noqa: S506 (it makes texts and lists only)
    except (RecursionError, yaml.YAMLError) as error:
        raise InputError(
            f"the body is no YAML or JSON: {one_line(str(error), 200)}; texts with ?, : or # need "
            "quotes"
        ) from error
    if not isinstance(said, dict):
        raise InputError(f"the body: write keys and values, such as rows: and one of {_keys()}")
    known = {name: value for name, value in line.items() if value is not None}
    return body_of({**{str(key): value for key, value in said.items()}, **known})


def body_of(said: Mapping[str, Any]) -> DepthBody:
    """The same of values by key, as a script gives them; None says nothing. Raises InputError."""
    check_known("key", said, KEYS)
    known = {key: value for key, value in said.items() if value is not None}
    if known.get("rows") is None or (isinstance(known["rows"], str) and not known["rows"].strip()):
        raise InputError("no rows: write rows: with a variable, a file, or the rows themselves")
    for key in TEXTS:
        if not isinstance(known.get(key, ""), str):
            raise InputError(f"{key}: {_shown(known[key])} is no text; put it in quotes")
        known[key] = known.get(key, "").strip()
    for key in NUMBERS:
        known[key] = _number(key, known.get(key, 0), least=0)
    known["tools"] = tuple(_listed(known.get("tools", ())))
    body = DepthBody(**known)
    if body.rubric and body.checker != ANSWER:
        raise InputError("checker and rubric: give one of them")
    return body


def read_rows(rows: Any, names: Mapping[str, Any]) -> Reading:
    """The rows: a name or a file, lines or YAML as a text, or records. Raises InputError."""
    rows = str(rows) if isinstance(rows, Path) else rows
    if isinstance(rows, str):
        is_text = "\n" in rows.strip() or "→" in rows
        return read(None, rows, {}) if is_text else read(rows.strip(), "", names)
    if isinstance(rows, dict):
        return read_list([{"prompt": prompt, "answer": said} for prompt, said in rows.items()])
    if isinstance(rows, list) and rows and all(isinstance(row, str) for row in rows):
        return read_list(body_records("\n".join(rows)))
    return read("rows", "", {"rows": rows})


def guard_numbers(guards: Any) -> dict[str, int | None]:
    """{name: items, None: the usual number} of what is said of guards; {} for all of them."""
    if isinstance(guards, dict):
        return {plain_name(name): _number(f"guards: {name}", n, 1) for name, n in guards.items()}
    return {plain_name(name): None for name in _listed(guards or ())}


def plain_name(name: Any) -> str:
    """'tool-calls' as 'tool calls'."""
    return str(name).strip().replace("-", " ")


def _inner(node: Any) -> list[Any]:
    """The values of a mapping's node; none of another one."""
    return [value for _, value in node.value] if type(node).__name__ == "MappingNode" else []


def _listed(value: Any) -> list[Any]:
    """The things of a list, or of a text with commas."""
    if isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _number(what: str, value: Any, least: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise InputError(f"{what}: {_shown(value)}; give a whole number, {least} or more")
    return number


def _shown(value: Any) -> str:
    return one_line(repr(value), 60)


def _keys() -> str:
    return ", ".join(KEYS[1:])
