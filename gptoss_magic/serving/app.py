"""The endpoint as an ASGI application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from gptoss_magic.serving import lookups, routes
from gptoss_magic.serving.desk_calls import CALLER_LEFT
from gptoss_magic.serving.faults import ApiError, api_error
from gptoss_magic.serving.guard import Guard
from gptoss_magic.serving.openapi import document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request as Asked
    from starlette.responses import Response

    from gptoss_magic.serving.desk_calls import Answers

    Handler = Callable[[Answers, Asked], Awaitable[Response]]

PATHS: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/v1/responses", routes.responses),
    ("POST", "/v1/responses/input_tokens", lookups.count_input),
    ("POST", "/v1/responses/compact", lookups.compact),
    ("GET", "/v1/responses/{name}", lookups.get_response),
    ("DELETE", "/v1/responses/{name}", lookups.delete_response),
    ("POST", "/v1/responses/{name}/cancel", lookups.cancel_response),
    ("GET", "/v1/responses/{name}/input_items", lookups.input_items),
    ("POST", "/v1/chat/completions", routes.chat_completions),
    ("POST", "/v1/completions", routes.text_completions),
    ("GET", "/v1/models", lookups.list_models),
    ("GET", "/v1/models/{name:path}", lookups.get_model),
    ("POST", "/tokenize", lookups.tokenize),
    ("POST", "/detokenize", lookups.detokenize),
    ("GET", "/tokenizer_info", lookups.tokenizer_info),
    ("GET", "/tokenizer.json", lookups.tokenizer_file),
    ("GET", "/version", lookups.version),
    ("GET", "/health", lookups.health),
    ("GET", "/metrics", lookups.show_metrics),
)


def application(answers: Answers, token: str) -> Any:
    """The routes, behind the guard."""
    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, handler in PATHS:
        by_path.setdefault(path, {})[method] = handler
    by_path["/openapi.json"] = {"GET": _openapi}
    table = [
        Route(path, partial(_handled, answers, path, handlers), methods=[*handlers])
        for path, handlers in by_path.items()
    ]
    inner = Starlette(routes=table, exception_handlers={HTTPException: _not_found})
    return Guard(inner, token)


async def _handled(
    answers: Answers, path: str, handlers: dict[str, Handler], asked: Asked
) -> Response:
    """What a route says, or what is wrong in OpenAI's form; counted either way."""
    method = "GET" if asked.method == "HEAD" else asked.method
    try:
        response = await handlers[method](answers, asked)
    except Exception as error:  # noqa: BLE001 (nothing of it becomes a traceback)
        fault = api_error(error)
        response = routes.reply(fault.body(), fault.status, fault.headers)
    if response.status_code != CALLER_LEFT:
        answers.metrics.requests[path, response.status_code] += 1
    return response


async def _openapi(_answers: Answers, _asked: Asked) -> Response:
    return routes.reply(document())


async def _not_found(asked: Asked, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = f"{asked.method} {asked.url.path}: there is no such route here"
    fault = ApiError(error.status_code, words, code="not_found")
    return routes.reply(fault.body(), error.status_code, dict(error.headers or {}))
