"""What each route of the endpoint does; starlette's side of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from gptoss_magic.quoting import one_line
from gptoss_magic.records import ChannelDelta, Turn
from gptoss_magic.serving import chat, completions, sse
from gptoss_magic.serving.body import Body, json_body, json_bytes
from gptoss_magic.serving.chat import Choice, read_chat
from gptoss_magic.serving.completions import Completed, read_completion, scored_prompt
from gptoss_magic.serving.desk_calls import merged, output_of, while_there
from gptoss_magic.serving.faults import ApiError, api_error
from gptoss_magic.serving.question import nth, settled
from gptoss_magic.serving.responses import Resource
from gptoss_magic.serving.responses_request import read_responses
from gptoss_magic.session import current
from gptoss_magic.turns.url_citations import told_pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request as Asked

    from gptoss_magic.serving.desk_calls import Answers
    from gptoss_magic.serving.ledger import Served

SHORT = 200  # characters of a question on the record


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(json_bytes(value), status, headers, "application/json")


def streamed(pieces: AsyncIterator[bytes], headers: dict[str, str]) -> Response:
    """Server-sent events."""
    more = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **headers}
    return StreamingResponse(sse.with_pings(pieces), 200, more, "text/event-stream")


def warned(warnings: Sequence[str]) -> dict[str, str]:
    """A header that says what was left out."""
    words = "; ".join(one_line(warning, 200) for warning in warnings)
    return {"X-Gptoss-Warning": words.encode("ascii", "replace").decode()} if words else {}


async def body_of(asked: Asked) -> Body:
    """The JSON object that was sent. Raises ApiError."""
    return json_body(await asked.body())


async def _to_the_end(
    told: AsyncIterator[Any], chunks: AsyncIterator[dict[str, Any]]
) -> AsyncIterator[bytes]:
    """The chunks of what is told, and of what fails; `told` is closed behind them."""
    try:
        async for chunk in chunks:
            yield sse.event(chunk)
    except Exception as error:  # noqa: BLE001 (the caller is told)
        yield sse.event(api_error(error).body())
    finally:
        await told.aclose()  # type: ignore[attr-defined]
    yield sse.DONE


def last_said(messages: Sequence[Any]) -> str:
    """The user's last words, for the record."""
    users = [message.content for message in messages if message.role == "user"]
    return users[-1][:SHORT] if users else ""


# ---- /v1/responses ----


async def responses(answers: Answers, asked: Asked) -> Response:
    """An answer as a resource, or its events."""
    given = await run_in_threadpool(read_responses, await body_of(asked), answers.ledger)
    request = await run_in_threadpool(settled, given.asking, given.messages)
    root = given.asking.root
    served = answers.open(
        "responses", given.asking.name.name, last_said(given.messages), "resp_", root
    )
    request = nth(request, 0, served.root)
    served.messages, served.input_items = given.messages, given.items
    served.is_stored = given.is_stored
    output = output_of(given.asking.offers)
    resource = Resource(
        served,
        given.echo(request),
        output,
        current().codec,
        has_summary=given.has_summary,
        has_logprobs=given.has_logprobs,
        pages=told_pages(given.messages),
    )
    served.resource = resource.body()
    events = _events(answers, resource, served, request)
    if given.is_stream:
        return streamed(_as_bytes(events), warned(given.warnings))
    last = await while_there(asked, _last(events))
    if last["type"] == "response.failed":
        error = resource.error or {}
        status = resource.status_code
        raise ApiError(
            status, error.get("message", ""), kind="server_error", code=error.get("code")
        )
    return reply(last["response"], headers=warned(given.warnings))


async def _events(
    answers: Answers, resource: Resource, served: Served, request: Any
) -> AsyncIterator[dict[str, Any]]:
    stream = answers.told(served, request, resource.output)
    try:
        for event in resource.begin():
            yield event
        async for told, changes in stream:
            for event in resource.events(told, changes):
                served.resource = event.get("response", served.resource)
                yield event
    except Exception as error:  # noqa: BLE001 (the caller is told)
        yield resource.fail(api_error(error))
        served.resource = resource.body()
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


async def _as_bytes(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield sse.event(event)
        yield sse.DONE
    finally:
        await events.aclose()  # type: ignore[attr-defined]


async def _last(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    async for event in events:
        last = event
    return last


# ---- /v1/chat/completions ----


async def chat_completions(answers: Answers, asked: Asked) -> Response:
    """An answer as a message, or its chunks."""
    given = await run_in_threadpool(read_chat, await body_of(asked), answers.ledger)
    request = await run_in_threadpool(settled, given.asking, given.messages)
    said, name = last_said(given.messages), given.asking.name.name
    all_served = [
        answers.open("chat", name, said, "chatcmpl-", given.asking.root) for _ in range(given.n)
    ]
    for served in all_served:
        served.messages = given.messages
    outputs = [output_of(given.asking.offers, given.stop) for _ in all_served]
    requests = [nth(request, number, one.root) for number, one in enumerate(all_served)]
    codec, pages = current().codec, told_pages(given.messages)
    choices = [
        Choice(number, output, codec, has_logprobs=given.has_logprobs, pages=pages)
        for number, output in enumerate(outputs)
    ]
    triples = zip(all_served, requests, outputs, strict=True)
    told = merged([answers.told(*triple) for triple in triples])
    head = chat.envelope(all_served[0], is_chunk=given.is_stream)
    headers = warned(given.warnings)
    if given.is_stream:
        chunks = _chat_chunks(told, choices, head, has_usage=given.has_usage)
        return streamed(_to_the_end(told, chunks), headers)
    turns = await while_there(asked, _turns(told))
    whole = {"choices": [choice.whole() for choice in choices], "usage": chat.usage_of(turns)}
    return reply({**head, **whole}, headers=headers)


async def _turns(told: AsyncIterator[Any]) -> list[Turn]:
    turns: dict[int, Turn] = {}
    async for number, (one, _) in told:
        if isinstance(one, Turn):
            turns[number] = one
    return [turns[number] for number in sorted(turns)]


async def _chat_chunks(
    told: AsyncIterator[Any], choices: Sequence[Choice], head: dict[str, Any], *, has_usage: bool
) -> AsyncIterator[dict[str, Any]]:
    turns: dict[int, Turn] = {}
    usage: dict[str, Any] = {"usage": None} if has_usage else {}
    for choice in choices:
        yield {**head, "choices": [choice.opening()], **usage}
    async for number, (one, changes) in told:
        if isinstance(one, Turn):
            turns[number] = one
        for part in choices[number].chunks(one, changes):
            yield {**head, "choices": [part], **usage}
    if has_usage:
        counted = chat.usage_of([turns[number] for number in sorted(turns)])
        yield {**head, "choices": [], "usage": counted}


# ---- /v1/completions ----


async def text_completions(answers: Answers, asked: Asked) -> Response:
    """Text or token ids, gone on with."""
    given = await run_in_threadpool(read_completion, await body_of(asked))
    codec, name = current().codec, given.asking.name.name
    number = len(given.prompts) * given.n
    choices = [Completed(index, given, codec) for index in range(number)]
    if given.has_echo and given.num_logprobs is not None:
        for choice in choices:
            choice.echoed = await run_in_threadpool(scored_prompt, given, choice.prompt)
    requests = [await run_in_threadpool(given.request, index) for index in range(number)]
    all_served = [
        answers.open("completions", name, codec.decode(list(choice.prompt))[-SHORT:], "cmpl-")
        for choice in choices
    ]
    if given.max_tokens == 0:
        for choice, served in zip(choices, all_served, strict=True):
            choice.finish = "length"
            answers.ledger.close(served, None, "completed")
        told = merged([])
    else:
        pairs = zip(all_served, requests, strict=True)
        told = merged([answers.told(served, request, None) for served, request in pairs])
    head = completions.envelope(all_served[0])
    if given.is_stream:
        chunks = _completion_chunks(told, choices, head, has_usage=given.has_usage)
        return streamed(_to_the_end(told, chunks), {})
    await while_there(asked, _completed(told, choices))
    usage = completions.usage_of(given, choices)
    return reply({**head, "choices": [choice.whole() for choice in choices], "usage": usage})


async def _completed(told: AsyncIterator[Any], choices: Sequence[Completed]) -> None:
    async for number, (one, _) in told:
        if not isinstance(one, ChannelDelta):
            choices[number].take(one)


async def _completion_chunks(
    told: AsyncIterator[Any],
    choices: Sequence[Completed],
    head: dict[str, Any],
    *,
    has_usage: bool,
) -> AsyncIterator[dict[str, Any]]:
    async for number, (one, _) in told:
        if isinstance(one, ChannelDelta):
            continue
        choices[number].take(one)
        chunk = choices[number].chunk()
        if chunk is not None:
            yield {**head, "choices": [chunk]}
    if has_usage:
        usage = completions.usage_of(choices[0].asked, choices)
        yield {**head, "choices": [], "usage": usage}
