"""Many conversations answered at once by the resident model, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.generation import Engine
    from gptoss_magic.records import Answer, Message


def answered(
    engine: Engine,
    conversations: Sequence[Sequence[Message]],
    max_tokens: int = 256,
    on_answer: Callable[[int, int], None] = lambda done, total: None,
    **sampling: Any,
) -> list[Answer]:
    """An `Answer` to each, greedy unless `sampling` says otherwise; their order is kept.

    An interrupt leaves nothing. Raises ContextOverflow before anything is computed.
    """
    from gptoss_magic.harmony import prune, render

    prompts = [render(prune(talk), engine.codec) for talk in conversations]
    return answered_tokens(engine, prompts, max_tokens, on_answer, **sampling)


def answered_tokens(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    max_tokens: int = 256,
    on_answer: Callable[[int, int], None] = lambda done, total: None,
    provenance: dict[str, Any] | None = None,
    **sampling: Any,
) -> list[Answer]:
    """The same for prompts of token ids; `provenance` is completed by them and the sampler."""
    from gptoss_magic.generation import Request, SamplingSettings, stream_batch
    from gptoss_magic.generation.turn import Turn
    from gptoss_magic.harmony import HarmonyParser

    settings = SamplingSettings(**{"temperature": 0.0, "max_tokens": max_tokens, **sampling})
    requests = [Request(ids, settings) for ids in prompts]
    turns = [Turn(HarmonyParser(engine.codec)) for _ in requests]
    done = 0
    for index, delta in stream_batch(engine, requests):
        turns[index].take(delta.token_id)
        if delta.finish:
            turns[index].finish, turns[index].done = delta.finish, True
            turns[index].close(())
            done += 1
            on_answer(done, len(requests))
    record = {"model": "", **(provenance or {}), "sampling": settings.record()}
    return [
        turn.answer(len(request.prompt), 0, record | {"prompt_tokens": list(request.prompt)})
        for turn, request in zip(turns, requests, strict=True)
    ]
