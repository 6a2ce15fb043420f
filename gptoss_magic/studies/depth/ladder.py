"""The ladder: what is tried, at which strengths, in the order of what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.records.depth import BARE, Dropped, Rung
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import METHODS, settings_of
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.studies.depth.task import DepthTask
    from gptoss_magic.tuning.settings import MethodSettings

SYSTEM, PERSONA, EXAMPLES, RETRIEVAL, TOOLS, BOTH = 1, 2, 3, 4, 5, 13
LAST = 13
# the steps by what they tell of a task; the same step's other strengths come behind them all
TELLING = (0, PERSONA, EXAMPLES, RETRIEVAL, SYSTEM, 7, 9, 6, BOTH, 8, TOOLS, 10, 11, 12)
NUM_EXAMPLES = (4, 1, 2, 8)
NUM_PASSAGES = (3, 1)
STRENGTHS = ("usual", "all")


@dataclass(frozen=True)
class Candidate:
    """A rung that may be run. `method`: of a trained one; `amount`: of examples or passages.

    `place`: 0 for its step's usual strength, 1 and above for the others.
    """

    rung: Rung
    method: MethodSettings | None = None
    amount: int = 0
    place: int = 0


def candidates(task: DepthTask) -> tuple[list[Candidate], list[Dropped]]:
    """(those that the task has something for, by what they tell; the others, and why)."""
    able: list[Candidate] = []
    dropped: list[Dropped] = []
    for one in (*_context(), *_trained(), _both()):
        why = _why_not(one.rung, task, one.amount)
        if why:
            dropped.append(Dropped(one.rung, why))
        else:
            able.append(one)
    return sorted(able, key=_telling), dropped


def chosen(listed: Sequence[Candidate], steps: Sequence[int], strengths: str) -> list[Candidate]:
    """Those of the steps (none: all), bare always; 'usual' strengths or 'all' of them."""
    return [
        one
        for one in listed
        if (not steps or one.rung.step in (0, *steps)) and (strengths == "all" or not one.place)
    ]


def check_choice(steps: Sequence[int], strengths: str) -> None:
    """Raise InputError for steps and strengths that the ladder has not."""
    if strengths not in STRENGTHS:
        raise InputError(f"strengths {strengths!r}: give {' or '.join(STRENGTHS)}")
    wrong = [step for step in steps if not 0 <= step <= LAST]
    if wrong:
        raise InputError(f"rung {wrong[0]}: the ladder has 0 to {LAST}: give one of those")


def read_steps(text: str) -> tuple[int, ...]:
    """Steps of '0,1,7-9'. Raises InputError."""
    found: list[int] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f"rungs {text!r}: give numbers, such as 0,1,7-9")
        found += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(found))


def _context() -> Iterator[Candidate]:
    yield Candidate(Rung(BARE, 0, "bare", "as it is", trains=False))
    yield Candidate(Rung("system", SYSTEM, "system text", "the body's", trains=False))
    yield Candidate(Rung("persona", PERSONA, "persona", "its whole text", trains=False))
    for place, num in enumerate(NUM_EXAMPLES):
        words = counted(num, "row")
        rung = Rung(f"examples-{num}", EXAMPLES, "examples in context", words, trains=False)
        yield Candidate(rung, amount=num, place=place)
    for place, num in enumerate(NUM_PASSAGES):
        words = counted(num, "passage")
        rung = Rung(f"retrieval-{num}", RETRIEVAL, "retrieval over the rows", words, trains=False)
        yield Candidate(rung, amount=num, place=place)
    yield Candidate(Rung("tools", TOOLS, "tools", "the body's functions", trains=False))


def _trained() -> Iterator[Candidate]:
    """What the methods themselves say that they have on the ladder."""
    for name, method in METHODS.items():
        for one in method.ladder:
            for place, strength in enumerate(one.strengths):
                key = f"{one.key}-{strength.short}"
                rung = Rung(key, one.step, one.name, strength.words, trains=True)
                settings = settings_of(name, **one.settings, **strength.options)
                yield Candidate(rung, settings, place=place)


def _both() -> Candidate:
    """Of the best context rung and the best trained one; which they are is known at the end."""
    return Candidate(Rung("both", BOTH, "the best two together", "as they are", trains=False))


def _telling(one: Candidate) -> tuple[bool, int, int, int]:
    """Usual strengths first; within a step in the order of the registry."""
    order = TELLING.index(one.rung.step)
    return one.rung.step != 0, min(1, one.place), order, one.place


def _why_not(rung: Rung, task: DepthTask, amount: int) -> str:
    """Why the task has nothing for a rung; '' where it has."""
    body = task.body
    if rung.step == SYSTEM and not body.system:
        return "the body has no system text"
    if rung.step == EXAMPLES and amount > len(task.train):
        return f"only {counted(len(task.train), 'row')} to learn from"
    if rung.step == TOOLS:
        return _why_no_tools(task)
    return ""


def _why_no_tools(task: DepthTask) -> str:
    if not task.body.tools:
        return "the task has no tools"
    asked = [tool.name for tool in task.body.tools if current().policies.of(tool) != "auto"]
    if asked:
        return (
            f"{asked[0]} would ask before each call, and nobody is asked in a study: "
            f"%gptoss tools allow {asked[0]}"
        )
    return ""
