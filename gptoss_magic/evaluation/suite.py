"""What a benchmark is: items, and a grader that says right, wrong or cut of an answer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import Answer

if TYPE_CHECKING:
    from gptoss_magic.records import AnswerForm, Message, Term, ToolSpec

RIGHT, WRONG, CUT = "right", "wrong", "cut"
ENDED = ("return", "call", "stop")  # an answer that came to its end


@dataclass(frozen=True)
class SuiteItem:
    """One question. `id` names it within its suite, `kind` its group.

    `ask` stands behind the prompt: the form of the answer, the same for many items.
    `expected` is shown beside answers; what is right is the grader's word. `before`: messages of a
    conversation that stand before `prompt`. A `private` item is never shown, nor what was said to
    it: by its id alone.
    """

    id: str
    prompt: str
    expected: str = ""
    ask: str = ""
    system: str = ""
    before: tuple[Message, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    schema: AnswerForm | None = None
    private: bool = False
    kind: str = ""

    @property
    def text(self) -> str:
        """What the user says."""
        return self.prompt + self.ask


@dataclass(frozen=True)
class Verdict:
    """`word` is 'right', 'wrong' or 'cut'; `note` says why, in a line, where that is no news."""

    word: str
    note: str = ""


Grader = Callable[[SuiteItem, Answer], Verdict]


@dataclass(frozen=True)
class Suite:
    """Items and their grader. `source`: the package and version, or the file, they come from.

    `graded_by` says how. `max_tokens` of an answer, where nobody says otherwise. `left_out`: a line
    for each kind of item that cannot be asked or graded here.
    """

    name: str
    items: tuple[SuiteItem, ...]
    grader: Grader
    source: str
    graded_by: str
    max_tokens: int = 1024
    left_out: tuple[str, ...] = ()

    def grade(self, item: SuiteItem, answer: Answer) -> Verdict:
        """The verdict. An answer that was cut off, or that says nothing in `final`, is cut.

        Only `final` counts, or the call where tools are offered; never what was thought.
        """
        if answer.finish not in ENDED:
            return Verdict(CUT, f"ended by {answer.finish}")
        if not answer.final.strip() and not answer.tool_calls:
            return Verdict(CUT, "no final answer")
        return self.grader(item, answer)


@dataclass(frozen=True)
class Means:
    """What a suite may use of the other rooms.

    `run_code(code, seconds)`: what confined code printed, and its exit status (None: out of time).
    `form_of`: a JSON schema as an `AnswerForm`. `names`: the notebook's.
    `terms_of`: the terms of a persona.
    """

    run_code: Callable[[str, float], tuple[str, int | None]]
    form_of: Callable[[Any], AnswerForm]
    names: Mapping[str, Any] = field(default_factory=dict)
    terms_of: Callable[[str], Sequence[Term]] = lambda persona: ()


@dataclass(frozen=True)
class Opening:
    """How a suite is opened: `part` of it, `limit` items (None: all) drawn by `seed`."""

    part: str
    limit: int | None
    seed: int
    means: Means


def right_if(is_right: bool, note: str = "") -> Verdict:
    """A verdict; the note goes with what is wrong."""
    return Verdict(RIGHT) if is_right else Verdict(WRONG, note)


def drawn(items: Sequence[SuiteItem], opening: Opening) -> tuple[SuiteItem, ...]:
    """As many of the items as are asked for, by the seed, in their own order."""
    limit = opening.limit
    if limit is None or limit >= len(items):
        return tuple(items)
    places = random.Random(opening.seed).sample(range(len(items)), limit)  # noqa: S311 (no secret)
    return tuple(items[place] for place in sorted(places))


def seed_of(seed: int, suite: str, item: str, attempt: int) -> int:
    """The sampler's seed of one try of one item, the same in every arm."""
    text = f"{seed}/{suite}/{item}/{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:7], "big")


def check_items(name: str, items: Sequence[SuiteItem]) -> None:
    """Raise InputError for no items, or for two of one id."""
    if not items:
        raise InputError(f"{name}: there are no items")
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(f"{name}: two items are called {item.id}; give each an id of its own")
        seen.add(item.id)
