"""Many requests answered at once by the resident model, whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ServerError
from gptoss_magic.generation import AnswerBuilder, BatchPrompt, Ended, stream_batch, stream_parallel
from gptoss_magic.generation.builder import told
from gptoss_magic.generation.protocol import engine_for
from gptoss_magic.harmony import HarmonyParser
from gptoss_magic.session import current
from gptoss_magic.turns.answer import grammar_of, provenance_of, speak, valued
from gptoss_magic.turns.prompt import ids_of, messages_of
from gptoss_magic.vocabulary import BATCH, NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.generation import Engine
    from gptoss_magic.records import Answer, Request
    from gptoss_magic.records.provenance import ModelIdentity, Provenance


def answer_all(
    requests: Sequence[Request],
    on_answer: Callable[[int, int], None] = lambda done, total: None,
) -> list[Answer]:
    """An `Answer` to each, in their order. They share adapters, and draw alike (`BatchPrompt`).

    Each is held to its own schema, where it has one. No conversation goes on, and no turn is kept.
    An interrupt leaves nothing. Raises ContextOverflow before anything is computed.
    """
    answers: dict[int, Answer] = {}
    for index, answer in each_answer(requests):
        answers[index] = answer
        on_answer(len(answers), len(requests))
    return [answers[index] for index in range(len(requests))]


def each_answer(
    requests: Sequence[Request],
    num_rows: int = BATCH,
    on_token: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Answer]]:
    """(place, `Answer`) of each as it comes; see `answer_all`. At most `num_rows` at a time.

    `on_token` is called at each token where answers come by a batch. What was given stays given,
    whatever ends it. Between answers, and where another thread waits
    for the model, it is given up. KeyboardInterrupt passes through.
    """
    if not requests:
        return
    can = current().engine.capabilities
    if can.batches:
        yield from _at_once(requests, num_rows, on_token)
    elif can.parallel:
        yield from _side_by_side(requests, num_rows)
    else:
        yield from _one_by_one(requests)


def _one_by_one(requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
    for index, request in enumerate(requests):
        whole = request if request.prompt_ids else replace(request, messages=messages_of(request))
        said = speak(whole)[0]
        if said.finish == "interrupt":
            raise KeyboardInterrupt
        yield index, said


def _at_once(
    requests: Sequence[Request], num_rows: int, on_token: Callable[[], None]
) -> Iterator[tuple[int, Answer]]:
    """By continuous batching, in the local engine."""
    session, beside = current(), requests[0].adapters or (NONE,)
    identity, engine = session.require().identity, session.local_engine
    prompts = _prompts([engine] * len(requests), requests)
    builders = [AnswerBuilder(HarmonyParser(engine.codec)) for _ in prompts]
    stream = stream_batch(engine, prompts, num_rows)

    def ended(place: int) -> Answer:
        prompt_T = list(prompts[place].prompt)
        record = _record(requests[place], identity, prompt_T)
        said = builders[place].answer(len(prompt_T), 0, record)
        return valued(said, requests[place].schema)

    num_left, is_back = len(requests), False
    while num_left:
        fresh: list[int] = []
        with session.using(beside, is_back=is_back):
            for place, delta in stream:
                on_token()
                if builders[place].add(delta, requests[place].sampling.stop):
                    fresh.append(place)
                if fresh or session.queue.is_wanted:
                    break
        is_back, num_left = True, num_left - len(fresh)
        yield from ((place, ended(place)) for place in fresh)


def _prompts(engines: Sequence[Engine], requests: Sequence[Request]) -> list[BatchPrompt]:
    """Those of one schema share what their answers are held to: making it costs a while."""
    known: dict[int, Any] = {}
    for engine, request in zip(engines, requests, strict=True):
        if request.schema is not None and id(request.schema) not in known:
            known[id(request.schema)] = grammar_of(request, engine)
    held_to = [
        grammar_of(request, engine) if request.schema is None else known[id(request.schema)]
        for engine, request in zip(engines, requests, strict=True)
    ]
    rows = zip(requests, held_to, strict=True)
    return [BatchPrompt(ids_of(r), r.sampling, grammar) for r, grammar in rows]


def _record(request: Request, identity: ModelIdentity, prompt_T: list[int]) -> Provenance:
    record = provenance_of(request, identity)
    record["prompt_tokens"] = prompt_T
    record["sampling"] = request.sampling.record()
    return record


def _side_by_side(requests: Sequence[Request], num_rows: int) -> Iterator[tuple[int, Answer]]:
    """By several threads, where the engine takes them. Raises ServerError for one that failed."""
    session = current()
    identity, codec = session.require().identity, session.codec
    whole = [replace(request, messages=messages_of(request)) for request in requests]
    engines = [engine_for(session.engine, request) for request in whole]
    prompts = _prompts(engines, whole)
    builders = [AnswerBuilder(HarmonyParser(codec)) for _ in prompts]
    with session.using(requests[0].adapters or (NONE,)):
        for index, item in stream_parallel(list(zip(engines, prompts, strict=True)), num_rows):
            if not isinstance(item, Ended):
                builders[index].take(item)
                continue
            if item.error is not None:
                raise item.error
            builders[index].end(item.finish, requests[index].sampling.stop)
            prompt_T = list(prompts[index].prompt)
            record = _record(requests[index], identity, prompt_T)
            said = builders[index].answer(len(prompt_T), 0, record)
            said = said if item.server is None else told(said, item.server)
            if item.finish == "interrupt":
                raise ServerError(said.provenance["server"].get("note", "cut off"))
            yield index, valued(said, requests[index].schema)


def for_prompts(base: Request, prompts: Sequence[str]) -> list[Request]:
    """`base`, asked each of `prompts`."""
    return [replace(base, prompt=prompt) for prompt in prompts]
