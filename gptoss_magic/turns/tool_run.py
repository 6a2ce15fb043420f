"""A prompt answered with tools: turns of the model, with the tool loop between them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.agents.limits import Budget, Limits
    from gptoss_magic.agents.loop import Consent
    from gptoss_magic.records import Answer, ChannelDelta, Message, Passage, Step, ToolSpec


def specs(tools: Sequence[Any]) -> list[ToolSpec]:
    """What the model is told of `tools`: definitions as they are, tools and functions as theirs."""
    from gptoss_magic.agents.tools import as_tool
    from gptoss_magic.records import ToolSpec

    made = [given if isinstance(given, ToolSpec) else as_tool(given).spec for given in tools]
    names = [spec.name for spec in made]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"tool {name}: given twice; the model could not tell them apart")
    return made


def answered(
    respond: Callable[..., Answer],
    messages: list[Message],
    tools: Sequence[Any],
    how: dict[str, Any],
    *,
    consent: Consent | None = None,
    limits: Limits | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Answer:
    """`respond(messages, **how)`; with tools and a consent, the whole run of them."""
    if consent is None or not tools:
        return respond(messages, **how)
    from gptoss_magic.agents.loop import finished, run
    from gptoss_magic.agents.tools import as_tool

    how = {**how, "seed": secrets.randbelow(2**31) if how.get("seed") is None else how["seed"]}

    def turn(said: list[Message], budget: Budget) -> Answer:
        return respond(said, **within(budget, how))

    return finished(run(turn, messages, list(map(as_tool, tools)), consent, limits), on_step)


def within(budget: Budget, how: dict[str, Any]) -> dict[str, Any]:
    """The keywords of `respond` for one turn, which ends with the run's time and tokens."""
    from gptoss_magic.generation import SamplingSettings

    told: Callable[[ChannelDelta], None] = how.get("on_delta", lambda delta: None)
    read: Callable[[int, int], None] = how.get("on_prefill", lambda done, total: None)
    most = how.get("max_tokens") or SamplingSettings.max_tokens

    def on_delta(delta: ChannelDelta) -> None:
        told(delta)
        budget.check()

    def on_prefill(done: int, total: int) -> None:
        read(done, total)
        budget.check()

    tokens = max(1, min(most, budget.tokens))
    return {**how, "max_tokens": tokens, "on_delta": on_delta, "on_prefill": on_prefill}


def all_cited(answer: Answer, passages: Sequence[Passage] | None, question: str = "") -> Answer:
    """The answer with its citations checked against what the prompt and the tools quoted."""
    from gptoss_magic.retrieval.cite import cited

    given = [step.passages for step in answer.steps if step.passages is not None]
    if passages is None and not given:
        return answer
    numbered = {p.number: p for quoted in (passages or (), *given) for p in quoted}
    return cited(answer, [numbered[number] for number in sorted(numbered)], question)
