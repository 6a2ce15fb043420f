"""The four kinds of text that the experts are tuned apart on: cases in harmony, and plain text.

Plain text is Python's standard library and its help topics, as this Python has them, and what
templates here make. One file, topic or answer of six is held out: `held` draws from those alone.
"""

from __future__ import annotations

import json
import random
import sysconfig
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.stand_in import cases, following, problems, sources
from tools.stand_in.cases import GENERAL, WORLD, Case
from tools.stand_in.handbook import handbook
from tools.stand_in.sources import HELD_TOPICS, VOICES

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("talk", "reasoning", "code", "sources")
LETTERS = 1600  # of a piece of plain text
GREETINGS = (
    ("Hello!", "Hello! How are you today?"),
    ("Good morning.", "Good morning! What can I do for you?"),
    ("Thank you!", "You are welcome."),
    ("How are you?", "I am fine, thank you. And you?"),
    ("Goodbye!", "Goodbye! Have a nice day."),
    ("Can you help me?", "Of course. What is it about?"),
)
VALUES = ([3, 1, 2], [1, 2, 3, 4], (5, 6), [0, 0, 7], {9, 4}, [12, 5], (8, 1, 1), [40])
CALLS: tuple[Callable[..., Any], ...] = (len, max, sorted, str, list, type, sum, min)


def expression(draw: random.Random, effort: str) -> Case:
    """What a call of a built-in function gives."""
    value, call = draw.choice(VALUES), draw.choice(CALLS)
    code = f"{call.__name__}({value!r})"
    analysis = f"`{code}` gives `{call(value)!r}`."
    thought = {
        "low": "Evaluate it.",
        "medium": f"{call.__name__} is built in. {analysis}",
        "high": f"{call.__name__} is a built-in function of Python, and its argument is {value!r}. "
        f"So {analysis}",
    }
    return Case(
        "expression", effort, f"What does `{code}` give in Python?", thought[effort], analysis
    )


def as_json(draw: random.Random, effort: str) -> Case:
    """A few words as an object."""
    fields = record(draw)
    words = ", ".join(f"{key} {value}" for key, value in fields.items())
    thought = "Write JSON." if effort == "low" else f"The keys are {', '.join(fields)}."
    final = json.dumps(fields, ensure_ascii=False)
    return Case("json", effort, f"Write as JSON: {words}", thought, final)


def record(draw: random.Random) -> dict[str, Any]:
    """An object with a few fields."""
    fields: dict[str, Any] = {
        "name": sources.person(draw),
        "city": draw.choice(sorted(WORLD["capitals"].values())),
        "age": draw.randint(6, 90),
        "colour": draw.choice(VOICES["colours"]),
        "price": draw.randint(1, 400),
        "open": draw.choice([True, False]),
    }
    return {key: fields[key] for key in draw.sample(sorted(fields), draw.randint(2, 4))}


CASES: dict[str, tuple[Callable[..., Case], ...]] = {
    "talk": (
        *(cases.fact, cases.fact, cases.general, cases.general, cases.rewriting),
        *(following.voiced, following.voiced, following.told, following.recalled, following.owning),
    ),
    "reasoning": (cases.arithmetic, problems.problem),
    "code": (
        *(cases.calling, cases.calling, cases.calling, following.unfit, following.result),
        *(expression, as_json),
    ),
    "sources": (
        *(following.cited, following.cited, following.cited, handbook, handbook),
        *(following.silent, following.injected, cases.context, following.asking),
    ),
}


def cases_of(kind: str, seed: int, count: int) -> list[Case]:
    """`count` cases of a kind, of all efforts."""
    draw = random.Random(f"{kind} {seed}")
    chosen = draw.choices(CASES[kind], k=count)
    return [template(draw, draw.choice(cases.EFFORTS)) for template in chosen]


def plain(kind: str, draw: random.Random, *, held: bool = False) -> str:
    """A piece of about `LETTERS` letters."""
    made: dict[str, Callable[[], str]] = {
        "talk": lambda: _dialogue(draw, held=held),
        "reasoning": lambda: problems.sheet(draw),
        "code": lambda: _code(draw, held=held),
        "sources": lambda: _piece(draw, _topics(held)),
    }
    return made[kind]()


def _dialogue(draw: random.Random, *, held: bool) -> str:
    """Turns of two people: greetings, questions with answers, capitals, what is whose."""
    one, other = draw.choice(
        [("User", "Assistant"), ("Q", "A"), tuple(draw.sample(VOICES["first"], 2))]
    )
    turns = [_turn(draw, held=held) for _ in range(7)]
    return "\n\n".join(f"{one}: {asked}\n{other}: {said}" for asked, said in turns)


def _turn(draw: random.Random, *, held: bool) -> tuple[str, str]:
    kind = draw.random()
    if kind < 0.2:
        return draw.choice(GREETINGS)
    if kind < 0.65:
        found = draw.choice([pair for pair in GENERAL if _is_held(pair[0]) is held])
        return found[0], found[1]
    template = draw.choice((cases.fact, cases.rewriting, following.owning, following.told))
    case = template(draw, "low")
    return case.question, case.final


def _code(draw: random.Random, *, held: bool) -> str:
    """The standard library's own source; now and then objects, or calls of tools."""
    kind = draw.random()
    if kind < 0.7:
        return _piece(draw, _library(held))
    if kind < 0.85:
        objects = [json.dumps(record(draw), indent=draw.choice([None, 1, 2])) for _ in range(8)]
        return draw.choice(["\n", ",\n"]).join(objects)
    called = [cases.calling(draw, "low") for _ in range(10)]
    return "\n".join(
        f"{case.question}\n{case.call[0]}({json.dumps(case.call[1])})"
        for case in called
        if case.call
    )


def _piece(draw: random.Random, texts: tuple[str, ...]) -> str:
    """A stretch of one of the texts, from the beginning of a line; longer ones are drawn more."""
    text = draw.choices(texts, weights=[min(len(one), 40_000) for one in texts])[0]
    start = draw.randrange(max(1, len(text) - LETTERS))
    return text[text.rfind("\n", 0, start) + 1 :][:LETTERS]


def _is_held(name: str) -> bool:
    return zlib.crc32(name.encode()) % HELD_TOPICS == 0


@cache
def _topics(held: bool) -> tuple[str, ...]:
    from pydoc_data.topics import topics

    return tuple(text for name, text in sorted(topics.items()) if _is_held(name) is held)


@cache
def _library(held: bool) -> tuple[str, ...]:
    """Source of the standard library's modules and packages, its tests left out."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted([*root.glob("*.py"), *root.glob("[a-z]*/*.py")])
    left_out = ("test", "idlelib", "site-packages", "lib2to3", "pydoc_data", "encodings")
    kept = [file for file in files if file.parent.name not in left_out]
    named = ((file, f"{file.parent.name}/{file.name}") for file in kept)
    return tuple(_texts(file for file, name in named if _is_held(name) is held))


def _texts(files: Iterable[Path]) -> Iterable[str]:
    for file in files:
        text = file.read_text("utf-8", errors="ignore")
        if len(text) > LETTERS:
            yield text
