"""A few small requests at the start, so that what a server is said to do is what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import SystemSettings, developer_message, render, system_message
from gptoss_magic.records import Message, Request, SamplingSettings
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.serving.remote.token_engine import FinalSchema, TokenEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.serving.remote.adapters import RemoteShelf
    from gptoss_magic.serving.remote.chat_engine import ChatEngine

TEXT = (
    "The capital of France is Paris; 12 * 7 = 84;\n\tdef add(a, b):  return a + b\n\n"
    "Столица Франции — Париж, don't you know? 中文 🙂 e\u0301"
)
WORD = "q7x"  # an answer that no model gives by itself
REFUSED = (400, 404, 405, 415, 422, 501)
LEFT_OUT = {  # a word of a refusal, and the key of a request that it is about
    "reasoning_effort": "reasoning_effort",
    "stream_options": "stream_options",
    "max_completion_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "top_p": "top_p",
    "temperature": "temperature",
    "think": "think",
}
NOISE = 1e-5  # nats between two answers to the same request


@dataclass(frozen=True)
class TrialAnswer:
    """What came back: token ids, the log-probabilities that were told, cached prompt tokens."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    num_cached: int


def trial_messages(text: str = TEXT) -> list[Message]:
    """A whole rendering: effort, date, instructions, a question."""
    settings = SystemSettings(current_date="2026-01-01", effort="low")
    return [system_message(settings), developer_message("Answer."), Message("user", text)]


def disagreement(engine: TokenEngine) -> str:
    """'' where the server reads our rendering as the same token ids, else what it does instead."""
    ours = render(trial_messages(), engine.codec)
    try:
        theirs = engine.tokens_of(engine.codec.decode(ours))
    except RemoteFault as fault:
        return f"its tokens cannot be compared ({fault})"
    if theirs == ours:
        return ""
    place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
    place = min(len(ours), len(theirs)) if place is None else place
    return f"its tokens differ from this tokenizer's, from token {place} on"


def tried(engine: TokenEngine, max_tokens: int = 2) -> TrialAnswer:
    """A greedy answer to the trial's messages. Raises RemoteFault."""
    settings = SamplingSettings(temperature=0.0, max_tokens=max_tokens, lookup=0)
    stream = engine.stream(render(trial_messages(), engine.codec), settings)
    deltas = list(stream)
    scores = tuple(one.logprob for one in deltas if one.logprob is not None)
    return TrialAnswer(tuple(one.token_id for one in deltas), scores, stream.num_cached)


def holds_schema(engine: TokenEngine) -> bool:
    """Whether a text is held to a schema that nothing but one word fits."""
    if engine.knows_harmony:
        return _refuses_no_schema(engine)
    special, codec = engine.codec.special, engine.codec
    opened = [special["channel"], *codec.encode("final"), special["message"]]
    settings = SamplingSettings(temperature=0.0, max_tokens=12, lookup=0)
    prompt = render(trial_messages("Say yes."), codec)
    form = FinalSchema({"enum": [WORD]})
    try:
        deltas = list(engine.stream(prompt, settings, kept=opened, grammar=form))
    except RemoteFault as fault:
        if fault.status in REFUSED:
            return False
        raise
    said = codec.decode([one.token_id for one in deltas if one.token_id not in codec.stop_ids])
    return bool(said.strip()) and f'"{WORD}"'.startswith(said.strip())


def _refuses_no_schema(engine: TokenEngine) -> bool:
    """Whether it reads a schema: what is none is refused, and one that is one is not."""
    settings = SamplingSettings(temperature=0.0, max_tokens=1, lookup=0)
    prompt, was_refused = render(trial_messages("Say yes."), engine.codec), []
    for schema in ({"type": "no such type"}, {"enum": [WORD]}):
        try:
            list(engine.stream(prompt, settings, grammar=FinalSchema(schema)))
            was_refused.append(False)
        except RemoteFault as fault:
            if fault.status not in REFUSED:
                raise
            was_refused.append(True)
    return was_refused == [True, False]


def settled_chat(engine: ChatEngine) -> ChatEngine:
    """The engine, which leaves out what the server refuses. Raises RemoteFault for the rest."""
    for _ in LEFT_OUT:
        try:
            list(_chat(engine, None, 4))
        except RemoteFault as fault:
            engine.left_out |= _refused_key(fault, engine.left_out)
            continue
        break
    try:
        list(_chat(engine, {"type": "object", "properties": {"a": {"type": "string"}}}, 4))
        engine.holds_schema = True
    except RemoteFault as fault:
        if fault.status not in REFUSED:
            raise
    return engine


def _refused_key(fault: RemoteFault, known: frozenset[str]) -> frozenset[str]:
    """The key that a refusal is about. Raises `fault` where it names none that is new."""
    for word, key in LEFT_OUT.items():
        if fault.status in REFUSED and word in str(fault) and key not in known:
            return frozenset((key,))
    raise fault


def _chat(engine: ChatEngine, schema: dict[str, Any] | None, max_tokens: int) -> Any:
    settings = SamplingSettings(temperature=0.0, max_tokens=max_tokens, lookup=0)
    messages = tuple(trial_messages("Say yes."))
    request = Request(messages=messages, sampling=settings, effort="low")
    return engine.asked(request).stream([], settings, grammar=schema)


def check_effect(engine: TokenEngine | ChatEngine, shelf: RemoteShelf, name: str) -> None:
    """Raise InputError where the server answers the same beside the adapter as without it."""
    said = []
    for beside in ((), (name,), ()):
        with shelf.putting(beside):
            said.append(_told(engine))
    bare, adapted, again = said
    if adapted.ids not in (bare.ids, again.ids):
        return
    noise = _distance(bare.logprobs, again.logprobs)
    if _distance(bare.logprobs, adapted.logprobs) > max(NOISE, 3 * noise):
        return
    raise InputError(
        f"adapter {name}: {shelf.url} answers the same with and without it, so that it is not in "
        "use there: leave it out, or see how that server was started"
    )


def _told(engine: TokenEngine | ChatEngine) -> TrialAnswer:
    if isinstance(engine, TokenEngine):
        return tried(engine, 8)
    ids = tuple(one.token_id for one in _chat(engine, None, 64))
    return TrialAnswer(ids, (), 0)


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return max((abs(a - b) for a, b in zip(one, other, strict=False)), default=0.0)
