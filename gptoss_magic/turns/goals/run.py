"""A run of goals: those that can go on do, side by side, until each is done or cannot go on."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.goals.graph import key_of, nodes_of, with_left_out
from gptoss_magic.agents.goals.journal import GoalJournal, read_history, ticked
from gptoss_magic.errors import ContextOverflow
from gptoss_magic.records import Listener
from gptoss_magic.records.goals import GoalBoard
from gptoss_magic.session import current
from gptoss_magic.turns.answer import speak
from gptoss_magic.turns.goals.deciding import GoalVerdict
from gptoss_magic.turns.goals.lane import Lane
from gptoss_magic.turns.goals.propose import replanned, with_replans
from gptoss_magic.turns.many import each_answer
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.turns.tool_run import bounded_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gptoss_magic.records import Answer, Consent, Request
    from gptoss_magic.records.goals import Goal, GoalNode, GoalPlan, GoalTry
    from gptoss_magic.turns.goals.deciding import GoalTests

LANES = 8
AS_JSON = "\n\nAnswer with JSON alone that follows this schema: "
NO_BUDGET = "the budget of all goals is spent"
RETESTED = ("python", "function", "schema")  # kinds that ask nobody and need the answer alone


@dataclass(frozen=True)
class GoalSetting:
    """How a run is made. `requests`: what each goal is asked, settled, its text apart.

    `lanes`: goals at a time, at most. `body`: a digest of what the user wrote. `agree(plan, why)`:
    the user looks at what the model proposes; None: nobody can be asked.
    """

    name: str
    body: str
    requests: Callable[[Goal], Request]
    consent: Consent
    lanes: int = LANES
    agree: Callable[[GoalPlan, str], bool | None] = lambda plan, why: None
    on_board: Callable[[GoalBoard], None] = lambda board: None
    on_tokens: Callable[[int], None] = lambda tokens: None


@dataclass
class GoalRun:
    """A run in the making. `journal` is open; `tests` are those of `plan`."""

    plan: GoalPlan
    setting: GoalSetting
    tests_of: Callable[[GoalPlan], GoalTests]
    journal: GoalJournal
    tries: dict[str, list[GoalTry]] = field(default_factory=dict)
    lanes: dict[str, Lane] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    finish: str = "return"
    num_replans: int = 0

    def __post_init__(self) -> None:
        history = read_history(self.journal.path)
        self.tries, self.notes = history.tries, list(history.faults)
        earlier = history.replans.get(self.setting.body, [])
        self.plan, self.num_replans = with_replans(self.plan, earlier), len(earlier)
        self.plan = with_left_out(self.plan, history.goals, self.tries)
        self.tests = self.tests_of(self.plan)

    @property
    def nodes(self) -> list[GoalNode]:
        """How each goal stands now."""
        spent = self._spent()
        waiting = f"{NO_BUDGET}: {spent}" if spent else ""
        return nodes_of(self.plan.goals, self.tries, self.lanes, waiting)

    @property
    def board(self) -> GoalBoard:
        """All of it, to be shown."""
        place, notes = str(self.journal.path), tuple(self.notes)
        return GoalBoard(self.setting.name, tuple(self.nodes), self.finish, place, notes)

    def run(self) -> GoalBoard:
        """To the end, or to ■, which keeps all that is decided. Raises what no goal can mend."""
        self.journal.add_begin(self.setting.name, self.plan.goals)
        try:
            self._retest()
            while self._round():
                self.setting.on_board(self.board)
        except KeyboardInterrupt:
            self.finish = "interrupt"
            self.journal.add("stop", why="interrupt", open=list(self.lanes))
            self.lanes.clear()
        return self.board

    def again(self) -> None:
        """Goals that failed begin anew, with their whole budget."""
        for node in self.nodes:
            if node.state == "failed":
                self.journal.add("void", goal=node.goal.name, why="again")
                del self.tries[node.goal.name]

    def _retest(self) -> None:
        """Answers that an earlier run kept are looked at again: a done goal is one that passes."""
        for name in [node.goal.name for node in self.nodes]:
            node = self._node(name)  # what stands before it may have changed just now
            if node.tries and node.tries[-1].waits and node.tries[-1] is self.tries[name][-1]:
                self._tick(node.goal, node.tries[-1])
            if node.state != "done" or node.goal.test.kind not in RETESTED:
                continue
            verdict = self.tests.judged(self.tests.plan[name], node.answer, self._answers())
            if not verdict.passed:
                why = f"{name} was done, and its test does not pass any more: {verdict.reason}"
                self.notes.append(why)
                self.journal.add("void", goal=name, why=why)
                del self.tries[name]

    def _tick(self, goal: Goal, one: GoalTry) -> None:
        """Ask the user; where nobody is there the goal goes on waiting."""
        with self._unhurried(goal.name):
            said = self.tests.tick(goal, one.answer)
        if said is not None:
            self.journal.add("tick", goal=goal.name, passed=said)
            self.tries[goal.name][-1] = ticked(one, said)

    def _round(self) -> bool:
        """One answer of the model for each lane that waits for one; False where all is over."""
        for lane in [one for one in self.lanes.values() if self._is_over(one)]:
            self._end(lane)
        self._begin()
        if not self.lanes:
            return self._replan()
        self.setting.on_board(self.board)
        self._ask(list(self.lanes.values()))
        return True

    def _begin(self) -> None:
        """Let goals in that wait for nothing, in their order."""
        for node in self._ready():
            if len(self.lanes) >= self.setting.lanes:
                return
            goal, request = node.goal, self.setting.requests(node.goal)
            sampling = replace(request.sampling, seed=request.sampling.seed + len(node.tries))
            form, can_hold = self.tests.forms.get(goal.name), current().engine.capabilities.grammar
            self.lanes[goal.name] = Lane(
                self.plan,
                goal,
                replace(request, schema=form if can_hold else None, sampling=sampling),
                answers=self._answers(),
                earlier=node.tries,
                consent=partial(self._consent, goal.name),
                asks=f"{AS_JSON}{json.dumps(form.schema)}" if form and not can_hold else "",
            )

    def _ready(self) -> list[GoalNode]:
        known = {node.goal.name: node for node in self.nodes}
        return [
            node
            for node in known.values()
            if node.state == "open" and all(known[one].state == "done" for one in node.goal.after)
        ]

    def _is_over(self, lane: Lane) -> bool:
        if not lane.is_over and lane.run.answers and self._spent():
            lane.failed = f"{NO_BUDGET}: {self._spent()}"
        return lane.is_over

    def _ask(self, lanes: list[Lane]) -> None:
        """Lanes beside each other where there are several; one alone is heard token by token."""
        share = max(1, (self._tokens_left() or 2**53) // len(lanes))
        asked: list[tuple[Lane, Request]] = []
        for lane in lanes:
            request = lane.next_request(share)
            try:
                current().engine.check(ids_of(request), request.sampling.max_tokens)
                asked.append((lane, request))
            except ContextOverflow as error:
                lane.failed = str(error)
        for place, answer in self._answered(asked):
            lane, request = asked[place]
            lane.take(request, answer)
            self.setting.on_board(self.board)

    def _answered(self, asked: list[tuple[Lane, Request]]) -> Iterator[tuple[int, Answer]]:
        counted = 0

        def on_token(*_token: Any) -> None:
            nonlocal counted
            counted += 1
            self.setting.on_tokens(counted)

        if len(asked) == 1:
            lane, request = asked[0]
            name = f"goal {self.setting.name}: {lane.goal.name}"
            listener = bounded_by(lane.run.budget, Listener(on_delta=on_token))
            answer, _ = speak(replace(request, conversation=name), listener)
            if answer.finish == "interrupt" and not lane.run.budget.is_over:
                raise KeyboardInterrupt
            yield 0, answer
        elif asked:
            requests = [request for _, request in asked]
            yield from each_answer(requests, len(requests), on_token)

    def _end(self, lane: Lane) -> None:
        """A try is over: its test is asked, and what it says is on the disk before all else."""
        goal = self.tests.plan[lane.goal.name]
        answer, answers = lane.answer(), self._answers()
        if lane.failed or answer is None:
            verdict = GoalVerdict(False, lane.failed or "it was not answered")
        else:
            verdict = self.tests.decide(goal, answer, answers)
        key = key_of(lane.goal, {name: answers[name] for name in lane.goal.after})
        made = lane.decided(key, verdict, answer)
        self.journal.add_try(made)
        self.tries.setdefault(goal.name, []).append(made)
        del self.lanes[goal.name]
        if made.waits:
            self._tick(goal, made)

    def _replan(self) -> bool:
        """Other goals in the place of one that failed, if the user agrees to what is proposed."""
        failed = [node for node in self.nodes if node.state == "failed"]
        if not failed or self.num_replans >= self.plan.replan or self._spent():
            return False
        self.num_replans += 1
        proposed = replanned(self.plan, self.nodes, self.tests.names)
        if proposed is None:
            self.notes.append("no other plan that can be used was proposed")
            return False
        changes, plan = proposed
        agreed = self.setting.agree(plan, f"{failed[0].goal.name} failed: {failed[0].reason}")
        if not agreed:
            self.notes.append("another plan was proposed and not agreed to")
            return False
        self.journal.add("replan", of=self.setting.body, said=changes)
        self.plan, self.tests = plan, self.tests_of(plan)
        self.journal.add_begin(self.setting.name, plan.goals)
        return True

    def _consent(self, name: str, tool: Any, arguments: dict[str, Any], note: str) -> str | None:
        """The user's, for the goal of that name."""
        with self._unhurried(name):
            return self.setting.consent(tool, arguments, note)

    @contextmanager
    def _unhurried(self, name: str) -> Iterator[None]:
        """Within, the user takes time that is no goal's; the goal `name` has it already."""
        began = time.monotonic()
        try:
            yield
        finally:
            waited = time.monotonic() - began
            for lane in self.lanes.values():
                lane.began += waited
                if lane.goal.name != name:
                    lane.run.budget.extend(waited)

    def _node(self, name: str) -> GoalNode:
        return next(node for node in self.nodes if node.goal.name == name)

    def _answers(self) -> dict[str, str]:
        return {node.goal.name: node.answer for node in self.nodes if node.state == "done"}

    def _made(self) -> Iterator[GoalTry]:
        for name in self.plan.names:
            yield from self.tries.get(name, ())

    def _tokens_left(self) -> int | None:
        bound = self.plan.budget.tokens
        if bound is None:
            return None
        going_on = sum(lane.num_tokens for lane in self.lanes.values())
        return max(0, bound - going_on - sum(one.tokens for one in self._made()))

    def _spent(self) -> str:
        """Which bound of the whole is reached, in words; '' for none."""
        budget, made = self.plan.budget, list(self._made())
        lanes = self.lanes.values()
        calls = sum(one.calls for one in made) + sum(one.num_calls for one in lanes)
        going_on = sum(time.monotonic() - one.began for one in lanes)
        seconds = sum(one.seconds for one in made) + going_on
        if self._tokens_left() == 0:
            return f"{budget.tokens:,} tokens"
        if budget.calls is not None and calls >= max(1, budget.calls):
            return f"{budget.calls} calls"
        if budget.seconds is not None and seconds >= budget.seconds:
            return f"{budget.seconds:g} seconds"
        return ""
