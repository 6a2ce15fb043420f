"""Surgery on an `Answer`: other thoughts before its final, another way on from any token.

Both go on behind tokens that stand already, so that the KV cache has all of them but what is new.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.turns.answer import respond
from gptoss_magic.turns.answer_schema import AnswerSchema
from gptoss_magic.turns.prompt import put_in_place, turn_of
from gptoss_magic.turns.settle import without_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer, AnswerToken

ASIDE = "(branch)"  # the KV cache of branches that take no answer's place
ENDED = {
    "return": "it came to its end",
    "call": "it calls a tool",
    "stop": "a stop string ended it",
}


def branch(answer: Answer, at: int | None = None, *, text: str = "", **how: Any) -> Answer:
    """Keep the first `at` generated tokens of an answer, and `text` behind them, and go on.

    `at` may be any place, within headers and characters too (`tokens` shows them); None: the end
    of an answer that was cut off. `how`: fields of `SamplingSettings` (else as they were, but for
    the seed, which is drawn), and `adapters`, `schema`, `routing`, `cold`, `on_delta`,
    `on_prefill` of `respond` (else as they were). `usage` counts what is kept as prompt.

    Where the answer was a conversation's last, the new one takes its place; else the conversation
    stays as it is. Raises InputError, ContextOverflow, NotLoaded.
    """
    codec = current().require()[1].codec
    size = len(answer.raw_tokens)
    place = size if at is None else at
    if not 0 <= place <= size:
        raise InputError(f"at {at}: the answer has tokens 0 to {size - 1}")
    if place == size and answer.finish in ENDED:
        raise InputError(f"at {place}: nothing follows, {ENDED[answer.finish]}; branch before")
    kept = [*answer.raw_tokens[:place], *codec.encode(text)]
    return _go_on(answer, kept, {"kind": "branch", "at": place}, **how)


def refine(answer: Answer, analysis: str, **how: Any) -> Answer:
    """Put `analysis` in the place of an answer's own and let the model write `final` again.

    What it said in commentary stays. `how` and the rest: as of `branch`.
    """
    from gptoss_magic.harmony import render
    from gptoss_magic.records import Message

    codec = current().require()[1].codec
    last = answer.messages[_last_turn(answer) :]
    if any(message.recipient not in (None, "all") for message in last):
        raise InputError("the answer calls a tool, so no final follows its analysis; branch it")
    said = [Message("assistant", analysis, "analysis")] if analysis else []
    said += [m for m in last if m.channel == "commentary" and m.content]
    ids = render([*said, Message("assistant", "", "final")], codec, prompt=False)
    kept = ids[1 + len(codec.encode("assistant")) : -1]  # from behind the prompt's own header on
    return _go_on(answer, kept, {"kind": "refine", "at": 0}, **how)


def tokens(answer: Answer) -> list[AnswerToken]:
    """The generated tokens, to find a place for `branch`. Raises NotLoaded."""
    from gptoss_magic.harmony.channels import channels_of
    from gptoss_magic.records import AnswerToken

    codec = current().require()[1].codec
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


def _go_on(answer: Answer, kept: Sequence[int], surgery: dict[str, Any], **how: Any) -> Answer:
    """Generate behind `kept`, beside what the answer was made beside, and put it in its place."""
    from gptoss_magic.retrieval.cite import cited

    was = answer.provenance
    _check_model(was)
    how = _as_it_was(answer) | without_none(how)
    if "adapters" not in how:
        how["adapters"] = adapters_then(answer)
    turn = turn_of(answer)
    talk = turn.conversation if turn else ASIDE
    made = respond(was["prompt_tokens"], kept=kept, conversation=talk, **how)
    made = cited(made, answer.passages if "passages" in was else None)
    record = {**was, **made.provenance, "surgery": {**surgery, "kept_tokens": len(kept)}}
    made = replace(_behind_calls(answer, made), provenance=record)
    if turn is not None and "probe" not in record:
        return put_in_place(turn, made)
    current().last = made
    return made


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


def _check_model(was: dict[str, Any]) -> None:
    """Raise InputError where the answer is not the resident model's."""
    identity = current().require()[0].identity
    if "prompt_tokens" not in was or was.get("weights") != identity["weights"]:
        model = was.get("model") or "another model"
        raise InputError(
            f"the answer is of {model}, and {identity['model']} is loaded: load that first"
        )


def _as_it_was(answer: Answer) -> dict[str, Any]:
    """The keywords of `respond` that made the answer, but for its seed and its adapters."""
    was = answer.provenance
    sampler = {key: value for key, value in was["sampling"].items() if key != "seed"}
    probe, schema = was.get("probe", {}), was.get("schema")
    return {
        **sampler,
        "stop": tuple(sampler["stop"]),
        "effort": was["effort"],
        "routing": answer.routing is not None,
        "mask_experts": probe.get("mask", ""),
        "force_experts": probe.get("force", ""),
        "schema": schema and _schema(answer.parsed, schema),
        "calls": bool(schema and schema["calls"]),
    }


def _schema(parsed: Any, record: dict[str, Any]) -> AnswerSchema:
    """The pydantic model that made `parsed`, else the plain schema of the record."""
    kind = type(parsed)
    if hasattr(kind, "model_json_schema"):
        return AnswerSchema(kind)
    return AnswerSchema(record["schema"], record["name"])
