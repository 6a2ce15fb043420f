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
    from collections.abc import Callable, Sequence

    from gptoss_magic.generation.protocol import Engine
    from gptoss_magic.records import Answer, Request


def answer_all(
    requests: Sequence[Request],
    on_answer: Callable[[int, int], None] = lambda done, total: None,
) -> list[Answer]:
    """An `Answer` to each, in their order. They share adapters, and all of the sampler but seeds.

    Each is held to its own schema, where it has one. No conversation goes on, and no turn is kept.
    An interrupt leaves nothing. Raises ContextOverflow before anything is computed.
    """
    if not requests:
        return []
    session = current()
    can = session.engine.capabilities
    if can.batches or can.parallel:
        answer_them = _at_once if can.batches else _side_by_side
        with session.using(requests[0].adapters or (NONE,)):
            return answer_them(requests, on_answer)
    answers = []
    for request in requests:
        whole = request if request.prompt_ids else replace(request, messages=messages_of(request))
        answers.append(speak(whole)[0])
        if answers[-1].finish == "interrupt":
            raise KeyboardInterrupt
        on_answer(len(answers), len(requests))
    return answers


def _at_once(requests: Sequence[Request], on_answer: Callable[[int, int], None]) -> list[Answer]:
    """By continuous batching, in the local engine."""
    session = current()
    identity, engine = session.require().identity, session.local_engine
    answers: dict[int, Answer] = {}
    grammars = _Grammars(engine)
    prompts = [BatchPrompt(ids_of(r), r.sampling, grammars.of(r)) for r in requests]
    builders = [AnswerBuilder(HarmonyParser(engine.codec)) for _ in prompts]
    for index, delta in stream_batch(engine, prompts):
        builder, request = builders[index], requests[index]
        if not builder.add(delta, request.sampling.stop):
            continue
        prompt_T = list(prompts[index].prompt)
        record = provenance_of(request, identity)
        record["prompt_tokens"] = prompt_T
        record["sampling"] = request.sampling.record()
        answers[index] = valued(builder.answer(len(prompt_T), 0, record), request.schema)
        on_answer(len(answers), len(requests))
    return [answers[index] for index in range(len(requests))]


def _side_by_side(
    requests: Sequence[Request], on_answer: Callable[[int, int], None]
) -> list[Answer]:
    """By several threads, where the engine takes them. Raises ServerError for one that failed."""
    session = current()
    identity, codec = session.require().identity, session.codec
    whole = [replace(request, messages=messages_of(request)) for request in requests]
    grammars = _Grammars(session.engine)
    prompts = [BatchPrompt(ids_of(r), r.sampling, grammars.of(r)) for r in whole]
    engines = [engine_for(session.engine, request) for request in whole]
    builders = [AnswerBuilder(HarmonyParser(codec)) for _ in prompts]
    answers: dict[int, Answer] = {}
    for index, item in stream_parallel(list(zip(engines, prompts, strict=True)), BATCH):
        if not isinstance(item, Ended):
            builders[index].take(item)
            continue
        if item.error is not None:
            raise item.error
        record = provenance_of(requests[index], identity)
        record["prompt_tokens"] = list(prompts[index].prompt)
        record["sampling"] = requests[index].sampling.record()
        builders[index].end(item.finish, requests[index].sampling.stop)
        said = builders[index].answer(len(prompts[index].prompt), 0, record)
        said = said if item.server is None else told(said, item.server)
        answers[index] = valued(said, requests[index].schema)
        if item.finish == "interrupt":
            raise ServerError(answers[index].provenance["server"].get("note", "cut off"))
        on_answer(len(answers), len(requests))
    return [answers[index] for index in range(len(requests))]


class _Grammars:
    """What answers are held to, made once for each schema."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.known = engine, dict[int, Any]()

    def of(self, request: Request) -> Any:
        """The request's, None where it is free."""
        if request.schema is None:
            return grammar_of(request, self.engine)
        if id(request.schema) not in self.known:
            self.known[id(request.schema)] = grammar_of(request, self.engine)
        return self.known[id(request.schema)]


def for_prompts(base: Request, prompts: Sequence[str]) -> list[Request]:
    """`base`, asked each of `prompts`."""
    return [replace(base, prompt=prompt) for prompt in prompts]
