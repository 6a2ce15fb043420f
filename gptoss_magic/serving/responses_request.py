"""The body of POST /v1/responses: what is asked, and what is given back of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.input_items import as_items, tell
from gptoss_magic.serving.ledger import new_id
from gptoss_magic.serving.offers import read_offers
from gptoss_magic.serving.question import (
    MOST_TOP,
    Asking,
    effort_of,
    read_model,
    refuse_samplers,
    sampling_of,
    schema_of,
)
from gptoss_magic.serving.told import Told

if TYPE_CHECKING:
    from gptoss_magic.records import Message, Request
    from gptoss_magic.serving.body import Body
    from gptoss_magic.serving.ledger import Ledger, Served

LOGPROBS = "message.output_text.logprobs"


@dataclass(frozen=True)
class ResponsesRequest:
    """A body, read. `messages`: the whole conversation. `items`: the input's own."""

    asking: Asking
    messages: tuple[Message, ...]
    items: list[dict[str, Any]]
    is_stored: bool
    is_stream: bool
    has_summary: bool
    has_logprobs: bool
    warnings: tuple[str, ...]
    body: Body

    def echo(self, request: Request) -> dict[str, Any]:
        """The settings as a resource gives them back, with what was chosen here."""
        body, sampling = self.body, request.sampling
        reasoning = body.inner("reasoning")
        return {
            "background": False,
            "frequency_penalty": 0.0,
            "instructions": body.text("instructions") or None,
            "max_output_tokens": body.whole("max_output_tokens", 1),
            "max_tool_calls": body.whole("max_tool_calls", 0),
            "metadata": _texts(body, "metadata"),
            "parallel_tool_calls": body.flag("parallel_tool_calls", default=True),
            "presence_penalty": 0.0,
            "previous_response_id": body.text("previous_response_id") or None,
            "prompt_cache_key": body.text("prompt_cache_key") or None,
            "reasoning": {
                "effort": request.effort,
                "summary": reasoning.raw("summary") if reasoning else None,
            },
            "safety_identifier": body.text("safety_identifier") or None,
            "service_tier": "default",
            "store": self.is_stored,
            "temperature": sampling.temperature,
            "text": {"format": {"type": "text"}, **(body.raw("text") or {})},
            "tool_choice": body.raw("tool_choice") or "auto",
            "tools": [_tool(one) for one in body.items("tools")],
            "top_logprobs": self.asking.num_top,
            "top_p": sampling.top_p,
            "truncation": "disabled",
        }


def read_responses(body: Body, ledger: Ledger) -> ResponsesRequest:
    """What the body asks. Raises ApiError, NotLoaded."""
    name = read_model(body)
    _refuse(body)
    offers = read_offers(body, is_chat=False)
    before = _before(body, ledger)
    told = Told(ledger.exact, before.messages if before else ())
    items = as_items(body)
    warnings = (*offers.warnings, *tell(items, told, ledger.item))
    if not told.messages:
        raise body.fault("input", "a text or a list of items", body.raw("input"))
    include = body.texts("include")
    text, reasoning = body.inner("text"), body.inner("reasoning")
    messages = tuple(told.messages)
    asking = Asking(
        name=name,
        settings={
            **sampling_of(body),
            "effort": effort_of(reasoning, "effort"),
            "schema": schema_of(text.inner("format") if text else None),
            "calls": bool(offers.specs),
        },
        offers=offers,
        instructions="\n\n".join(filter(None, (body.text("instructions"), *told.instructions))),
        max_tokens=body.whole("max_output_tokens", 1),
        num_top=body.whole("top_logprobs", 0, MOST_TOP) or 0,
        root=before.root if before else ledger.root_of(messages),
    )
    return ResponsesRequest(
        asking=asking,
        messages=messages,
        items=[{"id": new_id("in_"), **item} for item in items],
        is_stored=body.flag("store", default=True),
        is_stream=body.flag("stream", default=False),
        has_summary=bool(reasoning and ("summary" in reasoning or "generate_summary" in reasoning)),
        has_logprobs=LOGPROBS in include or bool(asking.num_top),
        warnings=tuple(dict.fromkeys(warnings)),
        body=body,
    )


def _before(body: Body, ledger: Ledger) -> Served | None:
    name = body.text("previous_response_id")
    if not name:
        return None
    served = ledger.get(name)
    if served is None or not served.is_stored or served.state not in ("completed", "incomplete"):
        raise ApiError(
            404,
            f"response {name!r} is not known here, or not over: send its items as input",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return served


def _refuse(body: Body) -> None:
    """Raise ApiError for what would change the answer and is not there."""
    if body.flag("background", default=False):
        raise ApiError(400, "background is not offered here: stream instead", param="background")
    if "conversation" in body:
        raise ApiError(
            400, "conversation is not offered here: give previous_response_id", param="conversation"
        )
    refuse_samplers(body)
    body.word("truncation", ("disabled", "auto"), "disabled")
    body.texts("include")


def _texts(body: Body, name: str) -> dict[str, Any]:
    holder = body.inner(name)
    return holder.value if holder else {}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type", "function") != "function":
        return tool
    plain = {"type": "function", "description": None, "parameters": None, "strict": None}
    return {**plain, **tool}
