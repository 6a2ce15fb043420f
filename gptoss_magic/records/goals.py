"""Goals, each with a test: what is asked, what was tried, and how all of it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records.messages import Message

STATES = ("open", "running", "done", "failed", "blocked", "dropped")
MARKS = {
    "open": "[ ]",
    "running": "[~]",
    "done": "[x]",
    "failed": "[!]",
    "blocked": "[=]",
    "dropped": "[-]",
}


@dataclass(frozen=True)
class GoalTest:
    """What decides that a goal is done; never the model's word.

    `kind`: 'python' (`text` is an expression over `answer`, `value` and `results`), 'function' (it
    is called with the answer), 'schema' (the answer follows it), 'citations' (`least` of them, each
    valid) or 'tick' (the user says so; `text` is the question). `given`: the function, or the
    schema, itself; else `text` is its name in the notebook.
    """

    kind: str
    text: str = ""
    given: Any = field(default=None, compare=False)
    least: int = 1


@dataclass(frozen=True)
class GoalBudget:
    """What one goal may take in all its tries: tokens that are generated, calls, seconds."""

    tokens: int = 4096
    calls: int = 8
    seconds: float = 600.0
    tries: int = 3


@dataclass(frozen=True)
class WholeBudget:
    """What all goals together may take; None leaves it to each goal."""

    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Goal:
    """One goal. `after`: names of those that must be done before; their answers are quoted in it.

    `tools`: names of the notebook, or functions. `drop`: why it is not wanted any more.
    """

    name: str
    text: str
    test: GoalTest
    after: tuple[str, ...] = ()
    tools: tuple[Any, ...] = ()
    budget: GoalBudget = field(default_factory=GoalBudget)
    drop: str = ""


@dataclass(frozen=True)
class GoalPlan:
    """All goals of a cell. `about` is told with each of them; `tools` are offered to each.

    `rag`: indexes whose passages are quoted, so many `passages` to a goal. `replan`: how often the
    model may propose others in the place of one that failed.
    """

    goals: tuple[Goal, ...]
    about: str = ""
    tools: tuple[Any, ...] = ()
    rag: str = ""
    passages: int = 5
    budget: WholeBudget = field(default_factory=WholeBudget)
    replan: int = 0

    def __getitem__(self, name: str) -> Goal:
        """The goal of that name."""
        return next(goal for goal in self.goals if goal.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all goals, in their order."""
        return tuple(goal.name for goal in self.goals)


@dataclass(frozen=True)
class GoalTry:
    """One try at a goal, and what its test said. `key`: a digest of the goal and of its inputs.

    `reason` is the evidence: what the test said. `turn`: the turn's id in the kernel that made it.
    `messages`: the conversation of it, prompt included; `tools` as the model was told of them.
    `waits`: the user has not said yet whether it passes.
    """

    goal: str
    key: str
    passed: bool
    reason: str
    answer: str = ""
    tokens: int = 0
    calls: int = 0
    seconds: float = 0.0
    turn: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    waits: bool = False


@dataclass(frozen=True)
class GoalNode:
    """A goal, how it stands and why, and its tries so far."""

    goal: Goal
    state: str
    reason: str = ""
    tries: tuple[GoalTry, ...] = ()

    @property
    def answer(self) -> str:
        """The answer that passed the test; '' where none did."""
        return self.tries[-1].answer if self.state == "done" and self.tries else ""

    @property
    def tokens(self) -> int:
        """Tokens generated in all tries."""
        return sum(one.tokens for one in self.tries)

    @property
    def calls(self) -> int:
        """Calls of tools in all tries."""
        return sum(one.calls for one in self.tries)

    @property
    def seconds(self) -> float:
        """Seconds of all tries."""
        return sum(one.seconds for one in self.tries)


@dataclass(frozen=True)
class GoalBoard:
    """How all goals of a run stand. `finish`: 'return', or 'interrupt' where ■ ended the run.

    `notes`: what the user should know, such as damaged lines of the `journal`, a file.
    """

    name: str
    nodes: tuple[GoalNode, ...]
    finish: str = "return"
    journal: str = ""
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> GoalNode:
        """The node of that name. Raises KeyError."""
        for node in self.nodes:
            if node.goal.name == name:
                return node
        raise KeyError(name)

    def __iter__(self) -> Iterator[GoalNode]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def answers(self) -> dict[str, str]:
        """The answers of the goals that are done, by name."""
        return {node.goal.name: node.answer for node in self.nodes if node.state == "done"}

    @property
    def is_done(self) -> bool:
        """True where each goal that is wanted is done."""
        return all(node.state in ("done", "dropped") for node in self.nodes)
