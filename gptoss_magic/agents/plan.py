"""The `plan` tool: goals, sub-goals and their states, kept by the model, shown in the answer."""

from __future__ import annotations

from typing import Literal

from gptoss_magic.agents.tools import Tool, ToolResult, tool
from gptoss_magic.quoting import harmless

State = Literal["open", "doing", "done", "dropped"]
MARKS = {"open": "[ ]", "doing": "[~]", "done": "[x]", "dropped": "[-]"}
MAX_GOALS = 200
MAX_CHARS = 300


class Goals:
    """A goal graph: each goal has a state, at most one goal above it, and goals it waits for."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.above: dict[str, str] = {}
        self.needs: dict[str, list[str]] = {}

    def put(self, goal: str, state: State, parent: str = "", after: str = "") -> None:
        """Add a goal, or change it. Raises ValueError for a circle or an unknown goal."""
        goal, parent, after = (harmless(name).strip()[:MAX_CHARS] for name in (goal, parent, after))
        if not goal:
            raise ValueError("goal: give its words")
        for name, role in ((parent, "parent"), (after, "after")):
            if name and name not in self.states:
                raise ValueError(f"{role} {name!r}: there is no such goal; add it first")
        if parent and goal in self._way_up(parent):
            raise ValueError(f"parent {parent!r}: it stands below {goal!r} itself")
        if after and goal in self._waited_for(after):
            raise ValueError(f"after {after!r}: it waits for {goal!r} itself")
        if len(self.states) >= MAX_GOALS and goal not in self.states:
            raise ValueError(f"the plan has {MAX_GOALS} goals already")
        self.states[goal] = state
        if parent:
            self.above[goal] = parent
        if after and after not in self.needs.setdefault(goal, []):
            self.needs[goal].append(after)

    def tree(self) -> str:
        """The goals as lines, sub-goals indented below theirs."""
        return "\n".join(self._lines("", ""))

    def _lines(self, parent: str, indent: str) -> list[str]:
        lines = []
        for goal in [g for g in self.states if self.above.get(g, "") == parent]:
            waits = [need for need in self.needs.get(goal, ()) if self.states[need] != "done"]
            note = f" (after: {', '.join(waits)})" if waits else ""
            lines.append(f"{indent}{MARKS[self.states[goal]]} {goal}{note}")
            lines += self._lines(goal, indent + "    ")
        return lines

    def _way_up(self, goal: str) -> list[str]:
        way = [goal]
        while way[-1] in self.above:
            way.append(self.above[way[-1]])
        return way

    def _waited_for(self, goal: str) -> set[str]:
        found, left = set(), [goal]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += self.needs.get(one, ())
        return found

    def tool(self) -> Tool:
        """The tool that keeps this plan."""

        def plan(goal: str, state: State = "open", parent: str = "", after: str = "") -> ToolResult:
            """Keep a plan: add a goal, or set the state of one. Gives the whole plan.

            Args:
                goal: its words; the same words mean the same goal
                state: open, doing, done or dropped
                parent: the goal that this one is a part of
                after: a goal that must be done before

            """
            self.put(goal, state, parent, after)
            return ToolResult(self.tree(), plan=self.tree())

        made = tool(plan)
        return Tool("plan", made.description, made.parameters, plan, "ask", "built in", made.check)
