"""A persona as one text file: Markdown below YAML front matter, read and written."""

from __future__ import annotations

import re
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.persona import Character, Persona, Sampler, check_name
from gptoss_magic.agents.position import position_record, read_position
from gptoss_magic.agents.signals import read_signals, signals_record
from gptoss_magic.agents.terms import read_terms, terms_record
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable
from gptoss_magic.textfiles import check_yaml
from gptoss_magic.vocabulary import EFFORTS, MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
YAML_BREAK = re.compile(r"[\x85\u2028\u2029\r]")  # ends a line in YAML, and not here
MOST_CHARS = 200_000


def parse_persona(text: str, name: str = "", otherwise: str = "") -> Persona:
    """A persona of its file's text, called as the file says, which must be `name` where given.

    `otherwise`: its name where there is no other.
    Raises InputError: what is wrong in the front matter, and what was perhaps meant.
    """
    label = f"persona {name}" if name else "persona"
    if len(text) > MOST_CHARS:
        raise InputError(f"{label}: {len(text):,} characters; give {MOST_CHARS:,} at most")
    text = encodable(text)
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = MATTER.match(plain)
    if found is None and plain.startswith("---\n"):
        raise InputError(f"{label}: the front matter has no end; close it by a line ---")
    known = _front_matter(found[1], label) if found else {}
    given = str(known.pop("name", name or otherwise))
    if name and given != name:
        raise InputError(f"{label}: the file calls it {given[:64]}; give one name")
    body = (plain[found.end() :] if found else plain).strip()
    return Persona(check_name(given), body, **_values(known, label), source=text)


def render_persona(persona: Persona) -> str:
    """The persona as a text file: keys in one order, a key a line; `parse_persona` reads it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts of several lines as blocks, so that a diff shows the line."""

    Dumper.add_representer(str, _text_node)
    Dumper.add_representer(bool, _switch_node)
    position = position_record(persona.character.position, persona.position)
    values = {"name": persona.name, "extends": persona.extends}
    values |= vars(persona.character) | {"position": position}
    known = {key: value for key, value in values.items() if value} | _open_values(persona)
    matter = yaml.dump(known, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=90)
    return f"---\n{matter}---\n" + (f"\n{persona.text}\n" if persona.text else "")


def _front_matter(text: str, label: str) -> dict[str, Any]:
    """The mapping between the two lines ---, with known keys only, each once."""
    import yaml

    try:
        check_yaml(text, label)
        known = yaml.safe_load(text)
    except InputError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(
            f"{label}: {' '.join(str(error).split())[:300]}; texts with ?, : or # need quotes"
        ) from error
    if known is None:
        return {}
    if not isinstance(known, dict):
        raise InputError(f"{label}: the front matter is no mapping; write KEY: VALUE lines")
    for key in known:
        _check_key(key, KEYS, label)
    return known


def _check_key(key: Any, known: Sequence[str], label: str) -> None:
    if key in known:
        return
    name = key if isinstance(key, str) else type(key).__name__
    if name in SAMPLER and "sampler" in known:
        raise InputError(f"{label}: {name} belongs below sampler; write sampler: {{{name}: …}}")
    near = get_close_matches(name, known, 1)
    hint = f"perhaps {near[0]}" if near else f"there are {', '.join(known)}"
    raise InputError(f"{label}: no such key {name[:64]!r}; {hint}")


def _values(known: dict[str, Any], label: str) -> dict[str, Any]:
    """Fields of `Persona` from the front matter."""
    words, position = read_position(known.pop("position", None), f"{label}: position")
    character = {key: _text(known.pop(key, ""), f"{label}: {key}") for key in KINDS_OF_TEXT}
    sampler = known.pop("sampler", None) or {}
    if not isinstance(sampler, dict):
        raise InputError(f"{label}: sampler is no mapping; write sampler: {{temperature: 0.7}}")
    for key in sampler:
        _check_key(key, tuple(SAMPLER), label)
    found: dict[str, Any] = {"character": Character(**character | {"position": words})}
    found["position"] = position
    found |= _terms(known.pop("terms", None), f"{label}: terms")
    numbers: dict[str, Any] = {k: _number(k, v, label) for k, v in sampler.items()}
    found["sampler"] = Sampler(**numbers)
    for key, value in known.items():
        found[key] = READERS[key](value, f"{label}: {key}")
    return found


def _text(value: Any, label: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{label} is a {type(value).__name__}, not a text; put it in quotes")
    return encodable(value).strip()  # YAML's escapes can write half a character


def _names(value: Any, label: str) -> tuple[str, ...] | None:
    """A list of names, or one; null leaves it open."""
    if value is None:
        return None
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name.strip() for name in listed):
        raise InputError(f"{label}: give a list of names, such as [one, two]")
    return tuple(dict.fromkeys(name.strip() for name in listed))


def _terms(value: Any, label: str) -> dict[str, Any]:
    """Terms that stand here, or the name of a Turtle file beside the persona."""
    if not (isinstance(value, str) and value.strip().casefold().endswith(".ttl")):
        return {"terms": read_terms(value, label)}
    name = _text(value, label)
    if name.startswith(".") or any(sign in name for sign in "/\\:\0\n"):
        raise InputError(f"{label}: {name[:64]!r}: give the name of a file beside the persona")
    return {"terms_file": name}


def _extended(value: Any, label: str) -> str:
    return check_name(_text(value, label)) if value else ""


def _handoff(value: Any, label: str) -> tuple[str, ...] | None:
    names = _names(value, label)
    return names if names is None else tuple(map(check_name, names))


def _effort(value: Any, label: str) -> Any:
    if value is not None and value not in EFFORTS:
        raise InputError(f"{label}: give {', '.join(EFFORTS)}")
    return value


def _memory(value: Any, label: str) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is not None and value not in MEMORY:
        raise InputError(f"{label}: give {', '.join(MEMORY)}")
    return value


def _index(value: Any, label: str) -> str | None:
    """The name of an index on this disk: a persona fetches nothing."""
    name = _text(value, label)
    if "://" in name:
        raise InputError(f"{label}: {name[:64]!r}: give an index of this disk, or none")
    return name or None


def _passages(value: Any, label: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InputError(f"{label}: give 1 or more")
    return value


def _number(key: str, value: Any, label: str) -> float | int | None:
    """A sampler's number, None where it is left open."""
    kinds, is_good, words = SAMPLER[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, kinds) or not is_good(value):
        raise InputError(f"{label}: {key}: give {words}")
    return value  # type: ignore[no-any-return]


def _open_values(persona: Persona) -> dict[str, Any]:
    """What may be left open, as YAML has it."""
    sampler = {key: value for key, value in vars(persona.sampler).items() if value is not None}
    said: dict[str, Any] = {"effort": persona.effort, "sampler": sampler or None}
    said |= {"adapters": persona.adapters, "tools": persona.tools, "memory": persona.memory}
    said |= {"rag": persona.rag, "passages": persona.passages}
    said |= {"signals": signals_record(persona.signals) or None, "handoff": persona.handoff}
    said["terms"] = persona.terms_file or terms_record(persona.terms) or None
    plain = {key: list(v) if isinstance(v, tuple) else v for key, v in said.items()}
    if persona.memory in ("on", "off"):
        plain["memory"] = persona.memory == "on"
    return {key: value for key, value in plain.items() if value is not None}


def _switch_node(dumper: Any, is_on: bool) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:bool", "on" if is_on else "off")


def _text_node(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    if YAML_BREAK.search(text):
        style = '"'  # the only one in which YAML keeps such a letter as it is
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


KINDS_OF_TEXT = tuple(one.name for one in fields(Character))
KEYS = (
    "name",
    "extends",
    *KINDS_OF_TEXT,
    "effort",
    "sampler",
    "adapters",
    "tools",
    "memory",
    "rag",
    "passages",
    "terms",
    "signals",
    "handoff",
)
READERS: dict[str, Callable[[Any, str], Any]] = {
    "extends": _extended,
    "effort": _effort,
    "adapters": _names,
    "tools": _names,
    "memory": _memory,
    "rag": _index,
    "passages": _passages,
    "signals": read_signals,
    "handoff": _handoff,
}
SAMPLER: dict[str, tuple[Any, Callable[[Any], bool], str]] = {
    "temperature": ((int, float), lambda v: 0 <= v < 100, "0 (greedy) or more"),
    "top_p": ((int, float), lambda v: 0 < v <= 1, "a share above 0 and up to 1"),
    "top_k": (int, lambda v: 0 <= v < 2**31, "0 (all tokens) or more"),
    "max_tokens": (int, lambda v: 1 <= v < 2**31, "1 or more"),
}
