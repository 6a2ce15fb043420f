"""What was tried at goals, line by line in one file: it only grows, and outlives the kernel.

Each line is a JSON object with its `kind`: 'begin' (a run, with its goals), 'try' (one try,
whole), 'tick' (what the user says of the last one), 'void' (earlier tries of a goal do not count
any more, and why), 'plan' and 'replan' (what the model proposed and the user agreed to), 'stop'
(■), 'new' (all before it is over). A line is on the disk before the next is made; one that a crash
cut is told, and the others go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.goals.graph import tool_name
from gptoss_magic.atomic import append_line
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.quoting import printable
from gptoss_magic.records import Message
from gptoss_magic.records.goals import Goal, GoalBudget, GoalTest, GoalTry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

KINDS = ("begin", "try", "tick", "void", "plan", "replan", "stop", "new")
MESSAGE = tuple(one.name for one in fields(Message) if one.name != "ids")


@dataclass
class GoalHistory:
    """What a journal says: `tries` by goal that still count, proposals by what they were made for.

    `name` and `goals`: of the latest run. `faults`: lines that cannot be read, a line each.
    """

    name: str = ""
    goals: list[Goal] = field(default_factory=list)
    tries: dict[str, list[GoalTry]] = field(default_factory=dict)
    plans: dict[str, Any] = field(default_factory=dict)
    replans: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


class GoalJournal:
    """Lines at the end of `path`; within `opened` no other kernel may write there."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, printable(path)
        self._file: IO[bytes] | None = None

    @contextmanager
    def opened(self) -> Iterator[GoalJournal]:
        """Within, lines can be added. Raises StorageError, InputError where another has it open."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab+", buffering=0)
        except OSError as error:
            raise StorageError(
                f"{self.name}: {error.strerror or error}; free some space, or see who may write "
                "there"
            ) from error
        with file:
            _lock(file, self.name)
            self._file = file
            _end_line(file)
            try:
                yield self
            finally:
                self._file = None

    def add(self, kind: str, **said: Any) -> None:
        """One line more. Raises StorageError; what was there stays."""
        assert self._file is not None
        line = json.dumps({"kind": kind, **said}, ensure_ascii=False, default=str)
        try:
            append_line(self._file, line)
        except OSError as error:
            why = error.strerror or error
            raise StorageError(f"{self.name}: {why}; free some space, and run it again") from error

    def add_begin(self, name: str, goals: Sequence[Goal]) -> None:
        """A run begins, with these goals; functions and types of a script by their names."""
        told = [told_goal(goal) for goal in goals]
        self.add("begin", name=name, time=time.time(), goals=told)

    def add_try(self, one: GoalTry) -> None:
        """A try that is decided."""
        whole = {name.name: getattr(one, name.name) for name in fields(GoalTry)}
        told = [{key: getattr(m, key) for key in MESSAGE} for m in one.messages]
        self.add("try", **{**whole, "messages": told})


def read_history(path: Path) -> GoalHistory:
    """What the journal says; nothing is made or changed. Raises StorageError."""
    history = GoalHistory()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return history
    except OSError as error:
        raise StorageError(
            f"{printable(path)}: {error.strerror or error}; see who may read it"
        ) from error
    faults: list[str] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            _take(json.loads(line.decode("utf-8")), history)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            faults.append(f"line {number} of the journal is damaged and left out")
    history.faults = tuple(faults)
    return history


def ticked(one: GoalTry, passed: bool) -> GoalTry:
    """A try that waited, as the user says of it."""
    words = "ticked by the user" if passed else "the user does not agree"
    return replace(one, passed=passed is True, reason=words, waits=False)


def _take(said: dict[str, Any], history: GoalHistory) -> None:
    kind = said["kind"]
    if kind == "try":
        one = _try(said)
        history.tries.setdefault(one.goal, []).append(one)
    elif kind == "begin":
        history.goals = [_goal(one) for one in said["goals"]]
        history.name = str(said["name"])
    elif kind == "tick":
        history.tries[said["goal"]][-1] = ticked(history.tries[said["goal"]][-1], said["passed"])
    elif kind == "void":
        history.tries.pop(str(said["goal"]), None)
    elif kind == "plan":
        history.plans[str(said["of"])] = dict(said["said"])
    elif kind == "replan":
        history.replans.setdefault(str(said["of"]), []).append(dict(said["said"]))
    elif kind == "new":
        for held in (history.goals, history.tries, history.plans, history.replans):
            held.clear()
    elif kind not in KINDS:
        raise ValueError(kind)


def told_goal(goal: Goal) -> dict[str, Any]:
    """A goal as JSON has it; functions and types by their names."""
    test = goal.test
    given = test.given if isinstance(test.given, dict) else None
    told = {**vars(goal), "test": {**vars(test), "given": given}, "budget": vars(goal.budget)}
    return {**told, "tools": list(map(tool_name, goal.tools))}


def _goal(said: dict[str, Any]) -> Goal:
    """The goal. Raises TypeError, KeyError, AttributeError."""
    test, budget = GoalTest(**said["test"]), GoalBudget(**said["budget"])
    texts = [said[key] for key in ("name", "text", "drop")]
    names = [*said["after"], *said["tools"], test.kind, test.text]
    numbers = [test.least, *vars(budget).values()]
    if not all(isinstance(one, str) for one in (*texts, *names)):
        raise TypeError("a name")
    if not all(isinstance(one, (int, float)) for one in numbers):
        raise TypeError("a number")
    tuples = {key: tuple(said[key]) for key in ("after", "tools")}
    return Goal(**{**said, "test": test, "budget": budget, **tuples})


def _try(said: dict[str, Any]) -> GoalTry:
    """The try, each value of its kind. Raises TypeError, KeyError, ValueError."""
    kinds: dict[str, Any] = {
        **dict.fromkeys(("goal", "key", "reason", "answer", "turn"), str),
        **dict.fromkeys(("tokens", "calls"), int),
        "passed": bool,
        "seconds": (int, float),
    }
    values = {name: said[name] for name in kinds}
    for name, value in values.items():
        if not isinstance(value, kinds[name]):
            raise TypeError(name)
    messages = tuple(
        Message(**{key: _told(one[key], key) for key in MESSAGE}) for one in said["messages"]
    )
    tools = tuple(dict(one) for one in said["tools"])
    return GoalTry(**values, messages=messages, tools=tools, waits=said.get("waits") is True)


def _told(value: Any, key: str) -> Any:
    if not isinstance(value, str) and (value is not None or key in ("role", "content")):
        raise TypeError(key)
    return value


def _end_line(file: IO[bytes]) -> None:
    """A line that a crash cut is ended, so that it spoils no other."""
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.write(b"\n")


def _lock(file: IO[bytes], name: str) -> None:
    """Raise InputError where another kernel holds the file; the system ends it with the process."""
    try:
        import fcntl
    except ImportError:  # no such locks on this platform
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{name}: another kernel works on these goals; wait for it, or give another name"
        ) from error
    except OSError:  # a file system without locks
        return


def journal_path(name: str, notebook: str, place: str | Path | None = None) -> Path:
    """Where the journal of goals lies: a file that is named, else one of the user's data."""
    from platformdirs import user_data_path

    if place is not None:
        return Path(place).expanduser()
    digest = hashlib.sha256(f"{notebook}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    slug = re.sub(r"[^\w.-]+", "-", name)[:40].strip("-.")
    return user_data_path("gptoss_magic") / "goals" / f"{slug}-{digest}.jsonl"


def journals(notebook: str) -> list[tuple[str, Path]]:
    """(name, file) of the goals of a notebook, in the user's data."""
    folder = journal_path("", notebook).parent
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        name = read_history(path).name
        if name and journal_path(name, notebook) == path:
            found.append((name, path))
    return found
