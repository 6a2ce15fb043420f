"""What a caller asks, settled: the one way from every route to a `Request`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.names import ModelName, read_name
from gptoss_magic.serving.offers import Offers
from gptoss_magic.session import current
from gptoss_magic.turns.prompt import ids_of, opening
from gptoss_magic.turns.settle import settle

if TYPE_CHECKING:
    from gptoss_magic.records import Message, Request
    from gptoss_magic.serving.body import Body

EFFORTS = {
    **dict.fromkeys(("none", "minimal", "low"), "low"),
    "medium": "medium",
    **dict.fromkeys(("high", "xhigh", "max"), "high"),
}
MOST_TOP = 20  # likeliest tokens of each place
DEFAULT_TOKENS = 2048  # new tokens where the caller sets no bound


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
    request = settle(
        messages=messages,
        persona=asking.name.persona,
        adapters=asking.name.adapters,
        system=asking.instructions or None,
        tools=asking.offers.specs,
        ready=current().require,
        **asking.settings,
    )
    request = replace(
        request,
        messages=(*opening(request), *messages),
        must_call=asking.offers.must_call,
        num_top=asking.num_top,
        conversation=f"served {asking.root}",
    )
    return bounded(request, asking.max_tokens)


def bounded(request: Request, max_tokens: int | None) -> Request:
    """`request` with its prompt in tokens, and as many new ones as there is room for at most.

    Raises ContextOverflow where there is none.
    """
    engine = current().engine
    prompt_ids = tuple(ids_of(request))
    room = engine.context - len(prompt_ids)
    if room < 1:
        raise ContextOverflow(
            f"the prompt has {len(prompt_ids)} tokens, and the context {engine.context}: shorten it"
        )
    most = min(room, max_tokens or DEFAULT_TOKENS)
    return replace(
        request, prompt_ids=prompt_ids, sampling=replace(request.sampling, max_tokens=most)
    )


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
