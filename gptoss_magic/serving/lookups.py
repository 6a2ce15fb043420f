"""The small routes: stored responses, models, tokens, health, metrics."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gptoss_magic.serving import metrics
from gptoss_magic.serving.completions import raw_ids
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.names import models
from gptoss_magic.serving.question import settled
from gptoss_magic.serving.responses_request import read_responses
from gptoss_magic.serving.routes import body_of, reply
from gptoss_magic.session import current

if TYPE_CHECKING:
    from starlette.requests import Request as Asked

    from gptoss_magic.serving.desk_calls import Answers
    from gptoss_magic.serving.ledger import Served

MOST_ITEMS = 100


def _stored(answers: Answers, asked: Asked) -> Served:
    name = asked.path_params["name"]
    served = answers.ledger.get(name)
    if served is None or not served.is_stored:
        raise ApiError(
            404,
            f"response {name!r} is not known here: give the id of one that was stored",
            code="not_found",
        )
    return served


async def get_response(answers: Answers, asked: Asked) -> Response:
    """A stored response as it stands."""
    return reply(_stored(answers, asked).resource)


async def delete_response(answers: Answers, asked: Asked) -> Response:
    """Forget a stored response."""
    name = _stored(answers, asked).id
    answers.ledger.forget(name)
    return reply({"id": name, "object": "response", "deleted": True})


async def cancel_response(answers: Answers, asked: Asked) -> Response:
    """End a response that is still made."""
    served = _stored(answers, asked)
    if served.ended:
        raise ApiError(400, f"response {served.id} is over already: there is nothing to cancel")
    served.stop()
    return reply({**(served.resource or {}), "status": "cancelled"})


async def input_items(answers: Answers, asked: Asked) -> Response:
    """What a stored response was asked."""
    served = _stored(answers, asked)
    items = served.input_items
    if asked.query_params.get("order", "desc") == "desc":
        items = items[::-1]
    limit = asked.query_params.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= MOST_ITEMS:
        raise ApiError(400, f"limit is {limit!r}: give 1 to {MOST_ITEMS}", param="limit")
    after = asked.query_params.get("after")
    names = [item["id"] for item in items]
    start = names.index(after) + 1 if after in names else 0
    page = items[start : start + int(limit)]
    return reply(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": start + len(page) < len(items),
        }
    )


async def count_input(answers: Answers, asked: Asked) -> Response:
    """How many tokens a request to /v1/responses has."""
    given = await run_in_threadpool(read_responses, await body_of(asked), answers.ledger)
    request = await run_in_threadpool(settled, given.asking, given.messages)
    return reply({"object": "response.input_tokens", "input_tokens": len(request.prompt_ids)})


async def compact(_answers: Answers, _asked: Asked) -> Response:
    """Not offered: what stands in a conversation stays as it is."""
    raise ApiError(
        404,
        "POST /v1/responses/compact: there is no such route here: GET /openapi.json lists them",
        code="not_found",
    )


async def list_models(_answers: Answers, _asked: Asked) -> Response:
    """Base, adapters and personas."""
    return reply({"object": "list", "data": models()})


async def get_model(_answers: Answers, asked: Asked) -> Response:
    """One of them."""
    name = asked.path_params["name"]
    for one in models():
        if one["id"] == name:
            return reply(one)
    raise ApiError(
        404,
        f"model {name!r}: there is none of that name: GET /v1/models lists them",
        code="model_not_found",
    )


async def tokenize(_answers: Answers, asked: Asked) -> Response:
    """Text as token ids; the names of special tokens are those tokens."""
    body = await body_of(asked)
    ids = await run_in_threadpool(raw_ids, body.text("prompt", is_needed=True))
    context = current().engine.context
    return reply({"count": len(ids), "max_model_len": context, "tokens": ids})


async def detokenize(_answers: Answers, asked: Asked) -> Response:
    """Token ids as text."""
    body = await body_of(asked)
    ids, codec = body.items("tokens"), current().codec
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in ids):
        raise body.fault("tokens", "a list of token ids", ids)
    return reply({"prompt": codec.decode(ids)})


async def tokenizer_info(_answers: Answers, _asked: Asked) -> Response:
    """What an evaluation asks of a remote tokenizer, and harmony's special tokens by id."""
    codec = current().codec
    return reply(
        {
            "tokenizer_class": type(codec.tokenizer).__name__,
            "eos_token": "<|return|>",
            "eos_token_id": codec.special["return"],
            "bos_token": None,
            "pad_token": None,
            "chat_template": None,
            "vocab_size": len(codec.tokenizer),
            "harmony": codec.special,
        }
    )


async def tokenizer_file(_answers: Answers, _asked: Asked) -> Response:
    """The whole tokenizer, so that another kernel renders prompts as this one does."""
    text = await run_in_threadpool(current().codec.tokenizer.backend_tokenizer.to_str)
    return Response(text, media_type="application/json")


async def version(_answers: Answers, _asked: Asked) -> Response:
    """Who serves."""
    return reply({"version": version_of("gptoss_magic"), "server": "gptoss_magic"})


async def health(_answers: Answers, _asked: Asked) -> Response:
    """Whether a model is there."""
    is_loaded = current().loaded is not None
    status: dict[str, Any] = {"status": "ok" if is_loaded else "no model is loaded"}
    return reply(status, 200 if is_loaded else 503)


async def show_metrics(answers: Answers, _asked: Asked) -> Response:
    """Counts for Prometheus."""
    return Response(answers.metrics.text(answers.desk.num_open), 200, media_type=metrics.TYPE)
