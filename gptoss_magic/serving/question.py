"""What a caller asks, settled: the one way from every route to a `Request`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.names import read_name
from gptoss_magic.serving.offers import Offers
from gptoss_magic.turns.whole import settled_whole

if TYPE_CHECKING:
    from gptoss_magic.records import Message, Request
    from gptoss_magic.serving.body import Body
    from gptoss_magic.turns.names import ModelName

EFFORTS = {
    **dict.fromkeys(("none", "minimal", "low"), "low"),
    "medium": "medium",
    **dict.fromkeys(("high", "xhigh", "max"), "high"),
}
SAMPLERS_ELSEWHERE = {  # by what changes nothing
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "min_p"), 0.0),
    "repetition_penalty": 1.0,
}
MOST_TOP = 20  # likeliest tokens of each place


@dataclass(frozen=True)
class Asking:
    """The settings of a request, by the names of `turns.settle`; None is unsaid.

    `max_tokens`: the caller's bound. `num_top`: likeliest tokens that are told. `root`: whose KV
    cache it goes on with.
    """

    name: ModelName
    settings: dict[str, Any]
    offers: Offers = field(default_factory=Offers)
    instructions: str = ""
    max_tokens: int | None = None
    num_top: int = 0
    root: str = ""


def settled(asking: Asking, messages: tuple[Message, ...]) -> Request:
    """The request for `messages`, behind system and developer message. Raises GptOssError."""
    return settled_whole(
        asking.name,
        messages,
        instructions=asking.instructions,
        tools=asking.offers.specs,
        must_call=asking.offers.must_call,
        max_tokens=asking.max_tokens,
        conversation=f"served {asking.root}",
        num_top=asking.num_top,
        **asking.settings,
    )


def nth(request: Request, number: int, root: str = "") -> Request:
    """The request of choice `number`: another seed; `root`: whose KV cache it goes on with."""
    seed = (request.sampling.seed + number) % 2**63
    conversation = f"served {root}" if root else ""
    sampling = replace(request.sampling, seed=seed)
    return replace(request, sampling=sampling, conversation=conversation)


def read_model(body: Body) -> ModelName:
    """The model that is asked. Raises ApiError, NotLoaded."""
    return read_name(body.text("model", is_needed=True))


def sampling_of(body: Body) -> dict[str, Any]:
    """The sampler's settings that the caller gives."""
    temperature, top_p = body.number("temperature", 0, 2), body.number("top_p", 0, 1)
    if top_p == 0:  # nothing but the likeliest
        temperature, top_p = 0.0, None
    seed = body.raw("seed")
    if seed is not None and not (isinstance(seed, int) and not isinstance(seed, bool)):
        raise body.fault("seed", "a whole number", seed)
    return {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": _top_k(body),
        "seed": None if seed is None else seed % 2**63,
    }


def _top_k(body: Body) -> int | None:
    top_k = body.whole("top_k", -1)
    return None if top_k is None else max(0, top_k)


def refuse_samplers(body: Body) -> None:
    """Raise ApiError for settings that would change the answer and are not there."""
    for name, plain in SAMPLERS_ELSEWHERE.items():
        value = body.number(name, -2, 2)
        if value is not None and value != plain:
            raise ApiError(400, f"{name} is not offered here: leave it out", param=name)


def effort_of(holder: Body | None, name: str) -> str | None:
    """One of the three efforts, of the names that there are. Raises ApiError."""
    if holder is None or name not in holder:
        return None
    return EFFORTS[holder.word(name, tuple(EFFORTS), "")]


def schema_of(form: Body | None) -> dict[str, Any] | None:
    """What `final` must be, of a text format or a response format. Raises ApiError."""
    if form is None:
        return None
    kind = form.word("type", ("text", "json_object", "json_schema"), "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    holder = form.inner("json_schema") or form
    schema = holder.inner("schema")
    if schema is None:
        raise ApiError(400, f"{holder.path}.schema is missing: give a JSON schema", param="schema")
    return {"title": holder.text("name", "answer"), **schema.value}
