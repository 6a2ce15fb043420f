"""Many requests answered at once by the resident model, whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.session import current
from gptoss_magic.turns.answer import provenance_of
from gptoss_magic.turns.prompt import ids_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import Answer, Request


def answer_all(
    requests: Sequence[Request],
    on_answer: Callable[[int, int], None] = lambda done, total: None,
) -> list[Answer]:
    """An `Answer` to each, in their order. They share adapters, and all of the sampler but seeds.

    No conversation goes on, and no turn is kept. An interrupt leaves nothing. Raises
    ContextOverflow before anything is computed.
    """
    from gptoss_magic.generation import AnswerBuilder, BatchPrompt, stream_batch
    from gptoss_magic.harmony import HarmonyParser

    if not requests:
        return []
    session, first = current(), requests[0]
    identity, codec = session.require().identity, session.codec
    answers: dict[int, Answer] = {}
    with session.using(first.adapters or ("none",)):
        prompts = [BatchPrompt(ids_of(request), request.sampling) for request in requests]
        builders = [AnswerBuilder(HarmonyParser(codec)) for _ in prompts]
        for index, delta in stream_batch(session.local_engine, prompts):
            builder, request = builders[index], requests[index]
            builder.take(delta.token_id)
            if not delta.finish:
                continue
            builder.finish, builder.done = delta.finish, True
            builder.close(request.sampling.stop if delta.finish == "stop" else ())
            prompt_T = list(prompts[index].prompt)
            record = provenance_of(request, identity)
            record["prompt_tokens"] = prompt_T
            record["sampling"] = request.sampling.record()
            answers[index] = builder.answer(len(prompt_T), 0, record)
            on_answer(len(answers), len(requests))
    return [answers[index] for index in range(len(requests))]


def for_prompts(base: Request, prompts: Sequence[str]) -> list[Request]:
    """`base`, asked each of `prompts`."""
    return [replace(base, prompt=prompt) for prompt in prompts]
