"""One turn: a settled `Request` in, an `Answer` out, and the turn kept in exact tokens."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.generation import Slices, run_tokens
from gptoss_magic.generation.builder import said_before
from gptoss_magic.generation.protocol import engine_for
from gptoss_magic.harmony.exact import with_ids
from gptoss_magic.public import public
from gptoss_magic.quoting import num_surrogates
from gptoss_magic.records import Generation, Listener, Message, Turn
from gptoss_magic.session import current
from gptoss_magic.turns.cited import all_cited, pages_before
from gptoss_magic.turns.facts import learn
from gptoss_magic.turns.loading import versions
from gptoss_magic.turns.model_turn import ModelTurn
from gptoss_magic.turns.prompt import open_turn, rendered
from gptoss_magic.turns.recall import kept_of
from gptoss_magic.turns.settle import settle
from gptoss_magic.turns.stopping import WORK
from gptoss_magic.turns.terms import terms_record
from gptoss_magic.turns.tool_run import answered_with_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.generation import Engine
    from gptoss_magic.records import (
        Answer,
        AnswerForm,
        ChannelDelta,
        Consent,
        Request,
        Step,
    )
    from gptoss_magic.records.provenance import ModelIdentity, Provenance, SchemaRecord
    from gptoss_magic.turns.prompt import OpenTurn

SILENT = Listener()


@public
@WORK.doing("generate")
def generate(
    prompt: str,
    *,
    on_delta: Callable[[ChannelDelta], None] = SILENT.on_delta,
    on_prefill: Callable[[int, int], None] = SILENT.on_prefill,
    on_step: Callable[[Step], None] = SILENT.on_step,
    consent: Consent | None = None,
    **settings: Any,
) -> Answer:
    """Answer `prompt` with the resident model (loaded first where none is).

    `settings`, by the names of `turns.settle.SETTINGS`:
    `system`: the developer message's instructions. `persona`: names of a base and its overlays;
    their text stands above `system`, what is given here wins over their settings, and each persona
    has conversations (and, where it is on, a memory) of its own. `effort`: low, medium or high.
    `date`: YYYY-MM-DD. `temperature`, `top_p`, `top_k`, `max_tokens`, `seed`, `stop`, `lookup`: see
    `SamplingSettings`. `adapters`: names of attached ones that stand beside the model; 'none' is
    the bare base. `conversation`: without one nothing is remembered; `new` starts it afresh.
    `cold`: nothing that was computed before is reused (in bf16 a reused prefix may differ by a
    rounding). `passages`: the sources to answer from, quoted for this turn alone; citations are
    checked against them. `schema`: a JSON schema or a pydantic model that `final` cannot but
    follow; `parsed` is the value. `routing`: the answer says where each token went.
    `mask_experts`, `force_experts`: a probe, such as "3:7,5:0-3"; see `routing.probe.probing`.
    `tools`: functions, or what `@gptoss_magic.tool` made of them. They run within `limits` where
    `consent(tool, arguments, note)` gives None, until the model answers, and `on_step` sees each
    call; without a consent the model's call is the answer, and nothing runs. In a script,
    `agents.consent.by_policy()` lets those run that `@tool(policy="auto")` made.
    Raises ContextOverflow, InputError, NotLoaded.
    """
    listener = Listener(on_delta, on_prefill, on_step, consent)
    return answer(settle(prompt, **settings), listener)


@public
@WORK.doing("respond")
def respond(
    messages: Sequence[Message] | Sequence[int],
    *,
    kept: Sequence[int] = (),
    on_delta: Callable[[ChannelDelta], None] = SILENT.on_delta,
    on_prefill: Callable[[int, int], None] = SILENT.on_prefill,
    **settings: Any,
) -> Answer:
    """Answer whole `messages`, system and developer message first.

    Or go on behind a prompt of token ids, as a provenance has it, and the tokens `kept` of the
    answer, which stand already. Nothing is kept but the turn itself, and what the engine computed,
    under the name `conversation`. `settings`: as of `generate`; what stands in the messages
    already (effort, system, date) is recorded only. `calls`: tools may be called before a
    `schema`'s answer. Raises ContextOverflow, InputError, NotLoaded.
    """
    listener = Listener(on_delta, on_prefill)
    if isinstance(next(iter(messages), None), int):
        return answer(settle(prompt_ids=messages, kept_ids=kept, **settings), listener)  # type: ignore[arg-type]
    return answer(settle(messages=messages, kept_ids=kept, **settings), listener)  # type: ignore[arg-type]


@public
def answer(request: Request, listener: Listener = SILENT) -> Answer:
    """Answer a settled request; the turn is kept, and its conversation goes on.

    Waits where another thread has the model. ■, and a caller that is gone, end the answer as
    'interrupt', with what was said. Raises ContextOverflow, InputError, NotLoaded.
    """
    turn = open_turn(request, lambda asked: speak(asked, SILENT)[0])
    whole = replace(request, messages=turn.messages)
    if turn.messages and request.tools and listener.consent is not None:
        made, generations = answered_with_tools(whole, listener, speak)
    else:
        made, generation = speak(whole, listener)
        generations = (generation,)
    return _kept(request, turn, made, generations)


def speak(request: Request, listener: Listener = SILENT) -> tuple[Answer, Generation]:
    """One call of the model for whole messages or token ids, and its record. Nothing is kept."""
    session = current()
    resident, engine = session.require(), engine_for(session.engine, request)
    prompt_T = list(request.prompt_ids) or rendered(request.messages)
    grammar, provenance = grammar_of(request, engine), provenance_of(request, resident.identity)
    began, sharing = time.time(), ModelTurn(request, listener)
    with said_before(request.messages, engine):
        engine.check([*prompt_T, *request.kept_ids], request.sampling.max_tokens)
        listener.on_prefill(0, len(prompt_T))  # nothing is refused any more: a view may open
        said = run_tokens(
            session.local_engine.apart() if request.probe else engine,
            prompt_T,
            request.sampling,
            kept=request.kept_ids,
            conversation=request.conversation,
            cold=request.is_cold,
            routing=request.routing,
            num_top=request.num_top,
            grammar=grammar,
            listener=listener,
            slices=Slices(sharing.open, lambda: session.queue.is_wanted),
            provenance=provenance,
        )
    return spoken(request, prompt_T, said, began)


def grammar_of(request: Request, engine: Engine) -> Any:
    """What the answer is held to; None where it is free. Raises InputError."""
    if request.schema is not None:
        return engine.grammar(request.schema.enforced, calls=request.can_call)
    if not request.must_call:
        return None
    specs = [tool.spec for tool in request.tools if tool.spec.name in request.must_call]
    return engine.grammar(None, must_call=specs)


def spoken(
    request: Request, prompt_T: Sequence[int], said: Answer, began: float
) -> tuple[Answer, Generation]:
    """What an engine said, with the tokens of each message and its value; and the record of it."""
    codec = current().codec
    generation = Generation(
        tuple(prompt_T),
        said.raw_tokens,
        said.finish,
        began,
        said.usage.total_s,
        said.logprobs,
        len(request.kept_ids),
    )
    said = replace(said, messages=with_ids(said.messages, said.raw_tokens, codec))
    return valued(said, request.schema), generation


def provenance_of(request: Request, identity: ModelIdentity) -> Provenance:
    """What an answer is made of, besides its prompt's tokens and its sampler."""
    records = current().shelf.records(request.adapters or ("none",))
    known: Provenance = {
        "model": identity["model"],
        "revision": identity["revision"],
        "weights": identity["weights"],
        "adapters": records,
        "versions": versions(),
        "effort": request.effort,
    }
    if request.schema:
        known["schema"] = {
            "name": request.schema.name,
            "schema": request.schema.schema,
            "calls": request.can_call,
        }
    if request.probe:
        known["probe"] = {"mask": request.probe.mask, "force": request.probe.force}
    if request.routing:
        known["routing"] = True
    if terms := terms_record(request):
        known["terms"] = terms
    if broken := sum(num_surrogates(message.content) for message in request.messages):
        known["lone_surrogates"] = broken
    return known


def valued(answer: Answer, schema: AnswerForm | None) -> Answer:
    """The answer with its value; what no grammar can see (a pydantic validator) is an `error`."""
    if schema is None or answer.finish != "return":
        return answer
    try:
        return replace(answer, parsed=schema.value(answer.final))
    except InputError as error:
        record: SchemaRecord = {**answer.provenance["schema"], "error": str(error)}
        return replace(answer, provenance={**answer.provenance, "schema": record})


def _kept(
    request: Request, opened: OpenTurn, made: Answer, generations: tuple[Generation, ...]
) -> Answer:
    """The answer with its sources, persona and recalled items; its turn is on the record."""
    session, recall = current(), opened.recall
    made = all_cited(made, request.passages, request.prompt, pages_before(request))
    conversations = session.conversations
    goes_on = bool(request.prompt and request.conversation and not request.probe)
    asked = Message("user", request.prompt)
    if goes_on:
        recall.keep([asked, *kept_of(made)])
        if made.finish != "interrupt":
            learn(recall, lambda whole: speak(whole, SILENT)[0])
    parent = conversations.last(request.conversation) if goes_on and not request.is_new else None
    turn_id = conversations.new_id()
    known: Provenance = {**made.provenance, **recall.provenance()}
    if request.voice.layers:
        known["persona"] = request.voice.record()
    known["turn"] = {"id": turn_id, "parent": parent.id if parent else ""}
    made = replace(made, provenance=known)
    conversations.add(
        Turn(
            id=turn_id,
            parent=parent.id if parent else "",
            first=opened.earlier[0].id if opened.earlier else turn_id,
            conversation=request.conversation if goes_on else "",
            request=request,
            asked=asked,
            said=kept_of(made),
            generations=generations,
            answer=made,
        )
    )
    _hold_last(made)
    return made


def kept_apart(asked: Message, request: Request, made: Answer, generation: Generation) -> Answer:
    """The answer, its turn on the record; no conversation goes on with it."""
    turn = turn_apart(asked, request, made, generation)
    current().conversations.add(turn)
    _hold_last(turn.answer)
    return turn.answer


def turn_apart(asked: Message, request: Request, made: Answer, generation: Generation) -> Turn:
    """The turn of an answer that no conversation goes on with; nothing is kept."""
    turn_id = current().conversations.new_id()
    known: Provenance = {**made.provenance, "turn": {"id": turn_id, "parent": ""}}
    if request.voice.layers:
        known["persona"] = request.voice.record()
    made = replace(made, provenance=known)
    return Turn(turn_id, "", turn_id, "", request, asked, kept_of(made), (generation,), made)


def _hold_last(answer: Answer) -> None:
    """The notebook's last answer is its own, whatever other threads are told meanwhile."""
    if threading.current_thread() is threading.main_thread():
        current().last = answer
