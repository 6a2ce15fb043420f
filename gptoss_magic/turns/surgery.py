"""Surgery on an `Answer`: other thoughts before its final, another way on from any token.

Both go on behind tokens that stand already, so that the KV cache has all of them but what is new.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.records import Message
from gptoss_magic.session import current
from gptoss_magic.turns.answer import SILENT, kept_apart, speak
from gptoss_magic.turns.answer_schema import AnswerSchema
from gptoss_magic.turns.cited import all_cited
from gptoss_magic.turns.recall import kept_of, said_anew
from gptoss_magic.turns.settle import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer, AnswerToken, Generation, Listener, Request, Turn
    from gptoss_magic.records.provenance import (
        ProbeRecord,
        Provenance,
        SchemaRecord,
        SurgeryRecord,
        TurnRecord,
    )

ASIDE = "(branch)"  # the KV cache of branches that take no answer's place
NO_PROBE: ProbeRecord = {"mask": "", "force": ""}
NO_TURN: TurnRecord = {"id": "", "parent": ""}
ENDED = {
    "return": "it came to its end",
    "call": "it calls a tool",
    "stop": "a stop string ended it",
}


@public
def branch(
    answer: Answer,
    at: int | None = None,
    *,
    text: str = "",
    listener: Listener = SILENT,
    **settings: Any,
) -> Answer:
    """Keep the first `at` generated tokens of an answer, and `text` behind them, and go on.

    `at` may be any place, within headers and characters too (`tokens` shows them); None: the end
    of an answer that was cut off. `settings`: fields of `SamplingSettings` (else as they were, but
    for the seed, which is drawn), `adapters`, `schema`, `routing`, `cold` (else as they were).
    `usage` counts what is kept as prompt.

    Where the answer was a conversation's last, the new one takes its place; else the conversation
    stays as it is. Raises InputError, ContextOverflow, NotLoaded.
    """
    size = len(answer.raw_tokens)
    place = size if at is None else at
    if not 0 <= place <= size:
        raise InputError(f"at {at}: the answer has tokens 0 to {size - 1}: give one of those")
    if place == size and answer.finish in ENDED:
        raise InputError(f"at {place}: nothing follows, {ENDED[answer.finish]}; branch before")
    kept = [*answer.raw_tokens[:place], *current().codec.encode(text)]
    return _go_on(answer, kept, {"kind": "branch", "at": place}, listener, settings)


@public
def refine(
    answer: Answer, analysis: str, *, listener: Listener = SILENT, **settings: Any
) -> Answer:
    """Put `analysis` in the place of an answer's own and let the model write `final` again.

    What it said in commentary stays. `settings` and the rest: as of `branch`. Raises InputError
    where it calls a tool, ContextOverflow, NotLoaded.
    """
    from gptoss_magic.harmony import render

    codec = current().codec
    last = answer.messages[_last_turn(answer) :]
    if any(message.recipient not in (None, "all") for message in last):
        raise InputError("the answer calls a tool, so no final follows its analysis; branch it")
    said = [Message("assistant", analysis, "analysis")] if analysis else []
    said += [m for m in last if m.channel == "commentary" and m.content]
    ids = render([*said, Message("assistant", "", "final")], codec, prompt=False)
    kept = ids[1 + len(codec.encode("assistant")) : -1]  # from behind the prompt's own header on
    return _go_on(answer, kept, {"kind": "refine", "at": 0}, listener, settings)


@public
def tokens(answer: Answer) -> list[AnswerToken]:
    """The generated tokens, to find a place for `branch`. Raises NotLoaded."""
    from gptoss_magic.harmony.channels import channels_of
    from gptoss_magic.records import AnswerToken

    codec = current().codec
    head = [codec.special["start"], *codec.encode("assistant")]
    channels = channels_of([*head, *answer.raw_tokens], codec)[len(head) :]
    return [
        AnswerToken(n, codec.token_bytes(token).decode("utf-8", "backslashreplace"), channel)
        for n, (token, channel) in enumerate(zip(answer.raw_tokens, channels, strict=True))
    ]


def adapters_then(answer: Answer) -> list[str]:
    """The names of those that made it, or `none`, as `respond` takes them.

    Raises InputError where one is not attached as it was.
    """
    shelf, records = current().shelf, answer.provenance["adapters"]
    for record in records:
        name = record["name"]
        if name not in shelf.names or shelf.records([name])[0] != record:
            raise InputError(
                f"adapter {name} is not attached as it was when the answer was made: attach it, "
                "or name others"
            )
    return [record["name"] for record in records] or ["none"]


def last_turn_of(answer: Answer) -> Turn | None:
    """The turn that ended with this answer; None where no conversation ends with it."""
    turn = turn_of(answer)
    return turn if turn is not None and current().conversations.is_last(turn) else None


def turn_of(answer: Answer) -> Turn | None:
    """The record of the turn that gave this answer; None where this kernel keeps it no more."""
    return current().conversations.get(answer.provenance.get("turn", NO_TURN)["id"])


def put_in_place(turn: Turn, answer: Answer, generations: tuple[Generation, ...]) -> Answer:
    """`answer` is the turn's now: in its conversation and in its memory, where it has one."""
    session = current()
    turn_id = session.conversations.new_id()
    known: Provenance = {
        **answer.provenance,
        **said_anew(turn, answer),
        "turn": {"id": turn_id, "parent": turn.parent},
    }
    answer = replace(answer, provenance=known)
    session.conversations.add(
        replace(
            turn,
            id=turn_id,
            first=turn_id if turn.first == turn.id else turn.first,
            said=kept_of(answer),
            generations=generations,
            answer=answer,
        )
    )
    session.last = answer
    return answer


def _go_on(
    answer: Answer,
    kept: Sequence[int],
    surgery: SurgeryRecord,
    listener: Listener,
    settings: dict[str, Any],
) -> Answer:
    """Generate behind `kept`, beside what the answer was made beside, and put it in its place."""
    was = answer.provenance
    _check_model(was)
    turn = last_turn_of(answer)
    request = replace(
        _as_it_was(answer, settings),
        prompt_ids=tuple(was["prompt_tokens"]),
        kept_ids=tuple(kept),
        conversation=turn.conversation if turn else ASIDE,
    )
    made, generation = speak(request, listener)
    made = all_cited(made, answer.passages if "passages" in was else None)
    record: Provenance = {
        **was,
        **made.provenance,
        "surgery": {**surgery, "kept_tokens": len(kept)},
    }
    made = replace(_behind_calls(answer, made), provenance=record)
    if turn is not None and not request.probe:
        return put_in_place(turn, made, (*turn.generations[:-1], generation))
    asked = turn_of(answer)
    return kept_apart(asked.asked if asked else Message("user", ""), request, made, generation)


def _behind_calls(answer: Answer, made: Answer) -> Answer:
    """`made`, in the place of the last turn of a run: the calls before it and their results stay.

    A run's tokens and prompt are those of its last turn.
    """
    before = answer.messages[: _last_turn(answer)]
    num_results = sum(message.role == "tool" for message in before)
    return replace(made, messages=(*before, *made.messages), steps=answer.steps[:num_results])


def _last_turn(answer: Answer) -> int:
    """Where the messages of a run's last turn begin, behind the tools' results before it."""
    place = len(answer.messages)
    while place and answer.messages[place - 1].role == "tool":
        place -= 1
    while place and answer.messages[place - 1].role != "tool":
        place -= 1
    return place


def _check_model(was: Provenance) -> None:
    """Raise InputError where the answer is not the resident model's."""
    identity = current().require().identity
    if "prompt_tokens" not in was or was.get("weights") != identity["weights"]:
        model = was.get("model") or "another model"
        raise InputError(
            f"the answer is of {model}, and {identity['model']} is loaded: load that first"
        )


def _as_it_was(answer: Answer, settings: dict[str, Any]) -> Request:
    """The request that made the answer, but for its seed, and what `settings` say otherwise."""
    was = answer.provenance
    sampler = {key: value for key, value in was["sampling"].items() if key != "seed"}
    probe, schema = was.get("probe", NO_PROBE), was.get("schema")
    known: dict[str, Any] = {
        **sampler,
        "effort": was["effort"],
        "routing": answer.routing is not None,
        "mask_experts": probe["mask"],
        "force_experts": probe["force"],
        "schema": schema and _schema(answer.parsed, schema),
        "calls": bool(schema and schema["calls"]),
    }
    given = {name: value for name, value in settings.items() if value is not None}
    if "adapters" not in given:
        known["adapters"] = adapters_then(answer)
    return settle(**(known | given))


def _schema(parsed: Any, record: SchemaRecord) -> AnswerSchema:
    """The pydantic model that made `parsed`, else the plain schema of the record."""
    kind = type(parsed)
    if hasattr(kind, "model_json_schema"):
        return AnswerSchema(kind)
    return AnswerSchema(record["schema"], record["name"])
