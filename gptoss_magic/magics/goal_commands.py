"""What `%gptoss goal` does with goals that have a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from gptoss_magic.records.goals import GoalBoard


def show_list(_given: Namespace) -> None:
    from gptoss_magic.agents.goals.journal import journals
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.turns.settle import notebook_name

    found = journals(notebook_name())
    if not found:
        print("no goals yet: %%gptoss_goal NAME")
        return
    rows_of = []
    for name, path in found:
        board = _board(name, path)
        done = sum(node.state == "done" for node in board.nodes)
        rows_of.append((name, f"{done} of {len(board)}", str(path)))
    show_table(("goals", "done", "journal"), rows_of)


def show(given: Namespace) -> None:
    from gptoss_magic.widgets.goals import GoalsView

    with GoalsView(given.name) as view:
        view.finish(_board_of(given))


def say(given: Namespace) -> None:
    """Tick a goal whose answer waits for it."""
    from gptoss_magic.agents.goals.journal import GoalJournal

    path, name = path_of(given), " ".join(given.goal)
    nodes = {node.goal.name: node for node in _board(given.name, path).nodes}
    if name not in nodes:
        raise InputError(f"goal {name}: there is none of that name; there are {', '.join(nodes)}")
    if not (nodes[name].tries and nodes[name].tries[-1].waits):
        raise InputError(
            f"goal {name} is {nodes[name].state}: it does not wait for a tick; %gptoss goal show"
        )
    with GoalJournal(path).opened() as journal:
        journal.add("tick", goal=name, passed=not given.no)
    print(f"{name}: {'not ' if given.no else ''}ticked; run the cell again to go on")


def rows(given: Namespace) -> None:
    from gptoss_magic.turns.goals.rows import goal_rows

    made = goal_rows(_board_of(given), given.path)
    print(
        f"{counted(len(made), 'row')} written to {given.path}: %%gptoss_tune "
        f"{given.path} shows a plan"
    )


def keep(given: Namespace) -> None:
    """Procedures of the goals that are done, in the memory of the persona in use."""
    from gptoss_magic.turns.goals.procedures import procedures
    from gptoss_magic.turns.recall import memory_of

    found = procedures(_board_of(given))
    if not found:
        raise InputError(f"goals {given.name}: none is done yet; %gptoss goal show {given.name}")
    memory_of().remember(found)
    print(f"{len(found)} procedures kept: %gptoss memory list --kind procedure")


def _board_of(given: Namespace) -> GoalBoard:
    return _board(given.name, path_of(given))


def _board(name: str, path: Path) -> GoalBoard:
    from gptoss_magic.turns.goals.script import board_of

    return board_of(name, path)


def path_of(given: Namespace) -> Path:
    from gptoss_magic.agents.goals.journal import journal_path
    from gptoss_magic.turns.settle import notebook_name

    return journal_path(given.name, notebook_name(), given.journal)
