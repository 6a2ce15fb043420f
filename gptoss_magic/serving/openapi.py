"""GET /openapi.json: the routes and what they read, for clients and tests that ask."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from gptoss_magic.serving.question import EFFORTS, MOST_TOP

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
WHOLE = {"type": "integer", "minimum": 1}
LIST = {"type": "array", "items": {"type": "object"}}
TEXTS = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
SAMPLING = {
    "model": TEXT,
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "top_k": {"type": "integer", "minimum": -1},
    "seed": {"type": "integer"},
    "stream": FLAG,
}
EFFORT = {"type": "string", "enum": list(EFFORTS)}
TOP = {"type": "integer", "minimum": 0, "maximum": MOST_TOP}
CHOICE = {"anyOf": [{"enum": ["auto", "none", "required"]}, {"type": "object"}]}
BODIES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "/v1/responses": (
        ("model", "input"),
        {
            **SAMPLING,
            "input": {"anyOf": [TEXT, LIST]},
            "instructions": TEXT,
            "previous_response_id": TEXT,
            "reasoning": {"type": "object", "properties": {"effort": EFFORT, "summary": TEXT}},
            "text": {"type": "object", "properties": {"format": {"type": "object"}}},
            "tools": LIST,
            "tool_choice": CHOICE,
            "max_output_tokens": WHOLE,
            "top_logprobs": TOP,
            "include": {"type": "array", "items": TEXT},
            "store": FLAG,
            "metadata": {"type": "object"},
        },
    ),
    "/v1/chat/completions": (
        ("model", "messages"),
        {
            **SAMPLING,
            "messages": LIST,
            "reasoning_effort": EFFORT,
            "response_format": {"type": "object"},
            "tools": LIST,
            "tool_choice": CHOICE,
            "max_completion_tokens": WHOLE,
            "max_tokens": WHOLE,
            "n": {"type": "integer", "minimum": 1, "maximum": 16},
            "stop": TEXTS,
            "logprobs": FLAG,
            "top_logprobs": TOP,
            "stream_options": {"type": "object", "properties": {"include_usage": FLAG}},
        },
    ),
    "/v1/completions": (
        ("model", "prompt"),
        {
            **SAMPLING,
            "prompt": {"anyOf": [TEXT, {"type": "array"}]},
            "max_tokens": {"type": "integer", "minimum": 0},
            "n": {"type": "integer", "minimum": 1, "maximum": 16},
            "stop": TEXTS,
            "logprobs": TOP,
            "echo": FLAG,
            "return_token_ids": FLAG,
        },
    ),
    "/tokenize": (("prompt",), {"prompt": TEXT}),
    "/detokenize": (
        ("tokens",),
        {"tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}}},
    ),
}
READS = (
    *("/v1/models", "/v1/models/{name}", "/v1/responses/{name}"),
    *(
        "/v1/responses/{name}/input_items",
        "/tokenizer_info",
        "/tokenizer.json",
        "/version",
        "/health",
        "/metrics",
    ),
)


def document() -> dict[str, Any]:
    """The OpenAPI description."""
    paths = {path: {"post": _post(*body)} for path, body in BODIES.items()}
    for path in READS:
        paths[path] = {"get": _operation(path)}
    paths["/v1/responses/{name}"]["delete"] = _operation("/v1/responses/{name}")
    cancel = "/v1/responses/{name}/cancel"
    paths[cancel] = {"post": _operation(cancel)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "gptoss_magic", "version": version("gptoss_magic")},
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }


def _post(needed: tuple[str, ...], fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": [*needed], "properties": fields}
    content = {"application/json": {"schema": schema}}
    return {**_operation(""), "requestBody": {"required": True, "content": content}}


def _operation(path: str) -> dict[str, Any]:
    answers = {status: {"description": about} for status, about in STATUSES.items()}
    if "{name}" not in path:
        return {"responses": answers}
    name = {"name": "name", "in": "path", "required": True, "schema": TEXT}
    return {"parameters": [name], "responses": answers}


STATUSES = {
    "200": "The answer, or its events.",
    "400": "The request cannot be answered as it is.",
    "401": "The token is missing or wrong.",
    "404": "There is no such model, response or route.",
    "503": "No model is loaded, or it is being trained: ask again later.",
}
