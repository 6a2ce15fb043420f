"""A prompt answered with tools: calls of the model, with the tool loop between them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.turns.cited import steps_before

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.agents.limits import Budget
    from gptoss_magic.records import (
        Answer,
        ChannelDelta,
        Generation,
        Listener,
        Message,
        Request,
        SamplingSettings,
    )

    Speak = Callable[[Request, Listener], tuple[Answer, Generation]]


def answered_with_tools(
    request: Request, listener: Listener, speak: Speak
) -> tuple[Answer, tuple[Generation, ...]]:
    """The whole run: the model calls, a tool runs where the listener consents, until it answers."""
    from gptoss_magic.agents.loop import finished, run
    from gptoss_magic.agents.tools import as_tool

    assert listener.consent is not None
    generations: list[Generation] = []

    def turn(said: list[Message], budget: Budget) -> Answer:
        asked = replace(request, messages=tuple(said), sampling=_within(request, budget))
        answer, generation = speak(asked, bounded_by(budget, listener))
        generations.append(generation)
        return answer

    tools = [as_tool(tool) for tool in request.tools]
    before = steps_before(request)
    steps = run(turn, request.messages, tools, listener.consent, request.limits, earlier=before)
    return finished(steps, listener.on_step), tuple(generations)


def _within(request: Request, budget: Budget) -> SamplingSettings:
    """A turn ends with the run's tokens."""
    tokens = max(1, min(request.sampling.max_tokens, budget.tokens))
    return replace(request.sampling, max_tokens=tokens)


def bounded_by(budget: Budget, listener: Listener) -> Listener:
    """The listener; past the end of the run's time each token ends the turn as ■ does."""

    def on_delta(delta: ChannelDelta) -> None:
        listener.on_delta(delta)
        budget.check()

    def on_prefill(done: int, total: int) -> None:
        listener.on_prefill(done, total)
        budget.check()

    return replace(listener, on_delta=on_delta, on_prefill=on_prefill)
