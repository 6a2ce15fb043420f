"""One try at a goal: a tool run that is asked turn by turn, so that others can go on beside it."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from gptoss_magic.agents.goals.note import goal_text, note_of
from gptoss_magic.agents.loop import ToolRun
from gptoss_magic.agents.tools import as_tool
from gptoss_magic.records import Generation, Limits, Message, Turn
from gptoss_magic.records.goals import GoalTry
from gptoss_magic.session import current
from gptoss_magic.turns.answer import spoken
from gptoss_magic.turns.cited import all_cited
from gptoss_magic.turns.prompt import opening, quoted_prompt
from gptoss_magic.turns.recall import kept_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.records import Answer, Consent, Request
    from gptoss_magic.records.goals import Goal, GoalPlan
    from gptoss_magic.records.provenance import Provenance
    from gptoss_magic.turns.goals.deciding import GoalVerdict


class Lane:
    """A try in the making. `request`: the goal's, settled; `earlier`: its tries so far.

    It begins behind the goal's own opening, whatever an earlier try said: what that one computed
    is cut from the cache down to there. `asks`: what the answer must be, where nothing holds it to
    that.
    """

    def __init__(
        self,
        plan: GoalPlan,
        goal: Goal,
        request: Request,
        *,
        answers: Mapping[str, str],
        earlier: Sequence[GoalTry],
        consent: Consent,
        asks: str = "",
    ) -> None:
        self.plan, self.goal, self.earlier = plan, goal, tuple(earlier)
        self.asked = Message("user", goal_text(goal, answers) + asks)
        self.request = replace(request, prompt=self.asked.content)
        first = Message("user", quoted_prompt(self.request))
        budget = goal.budget
        limits = Limits(
            calls=max(0, budget.calls - sum(one.calls for one in earlier)),
            tokens=max(1, budget.tokens - sum(one.tokens for one in earlier)),
            seconds=max(0.001, budget.seconds - sum(one.seconds for one in earlier)),
            call_seconds=request.limits.call_seconds,
            chars=request.limits.chars,
        )
        tools = [as_tool(tool) for tool in request.tools]
        self.run = ToolRun([*opening(self.request), first], tools, consent, limits)
        self.generations: list[Generation] = []
        self.began = time.monotonic()
        self.failed = ""  # why it cannot be asked at all

    @property
    def is_over(self) -> bool:
        """True where the model is not asked again."""
        return bool(self.failed) or self.run.is_over

    @property
    def num_tokens(self) -> int:
        """Tokens that the try has generated so far."""
        return sum(answer.usage.completion_tokens for answer in self.run.answers)

    @property
    def num_calls(self) -> int:
        """Calls of tools so far; those that the limit let not run do not count."""
        return sum(step.outcome != "limit" for step in self.run.steps)

    def next_request(self, most_tokens: int) -> Request:
        """What the model is asked now: the conversation so far, and behind it the note."""
        run = self.run
        left = max(1, min(run.budget.tokens, most_tokens))
        calls = max(0, run.limits.calls - len(run.steps)) if run.tools else 0
        run.said.append(note_of(self.plan, self.goal, self.earlier, run.budget.tokens, calls))
        sampling = self.request.sampling
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, left))
        messages = (*run.opening, *run.said)
        return replace(self.request, messages=messages, sampling=sampling)

    def take(self, asked: Request, answer: Answer) -> None:
        """One answer of the model; its calls run now. Raises KeyboardInterrupt for ■ in one."""
        prompt_ids = answer.provenance["prompt_tokens"]
        answer, generation = spoken(asked, prompt_ids, answer, time.time() - answer.usage.total_s)
        self.generations.append(generation)
        self.run.turn(lambda _messages, _budget: answer)
        for _step in self.run.calls():
            pass
        if self.run.finish == "interrupt":
            raise KeyboardInterrupt

    def answer(self) -> Answer | None:
        """What the try came to, its citations checked; None where it was never answered."""
        if not self.run.answers:
            return None
        return all_cited(self.run.answer(), self.request.passages, self.goal.text)

    def decided(self, key: str, verdict: GoalVerdict, answer: Answer | None) -> GoalTry:
        """The try with its verdict; its turn is kept, to be branched from."""
        return GoalTry(
            goal=self.goal.name,
            key=key,
            passed=bool(verdict.passed),
            reason=verdict.reason,
            answer="" if answer is None else answer.final,
            tokens=self.num_tokens,
            calls=self.num_calls,
            seconds=round(time.monotonic() - self.began, 3),
            turn="" if answer is None else self._kept(answer),
            messages=tuple(replace(one, ids=()) for one in (*self.run.opening, *self.run.said)),
            tools=tuple(asdict(tool.spec) for tool in self.run.tools),
            waits=verdict.passed is None,
        )

    def _kept(self, answer: Answer) -> str:
        conversations = current().conversations
        turn_id = conversations.new_id()
        known: Provenance = {**answer.provenance, "turn": {"id": turn_id, "parent": ""}}
        conversations.add(
            Turn(
                id=turn_id,
                parent="",
                first=turn_id,
                conversation="",
                request=self.request,
                asked=self.asked,
                said=kept_of(answer),
                generations=tuple(self.generations),
                answer=replace(answer, provenance=known),
            )
        )
        return turn_id
