"""The resident model for a framework: a conversation in, pieces and the whole answer out.

A call of the notebook's own thread is answered there, as a cell is. All others, streams among them,
are answered in the desk's threads, many at once as one batch.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.speech import Piece, Said, Speech
from gptoss_magic.records import ChannelDelta, Listener, ToolSpec, Turn
from gptoss_magic.session import current
from gptoss_magic.turns.answer import speak, turn_apart
from gptoss_magic.turns.names import read_name
from gptoss_magic.turns.stopping import WORK
from gptoss_magic.turns.together import Desk, asked_of
from gptoss_magic.turns.whole import settled_whole
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from gptoss_magic.neighbours.told import ToldMessages
    from gptoss_magic.records import Request
    from gptoss_magic.records.provenance import Provenance

DESK = Desk()
SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "seed", "effort")


@dataclass(frozen=True)
class PendingTurn:
    """A settled request of `model`, the id that its turn will have, and what ends its text."""

    model: str
    request: Request
    turn_id: str
    stop: tuple[str, ...] = ()


def question(
    model: str,
    told: ToldMessages,
    *,
    tools: Sequence[ToolSpec] = (),
    choice: Any = None,
    schema: Any = None,
    stop: Sequence[str] | None = None,
    **sampling: Any,
) -> PendingTurn:
    """What is asked of `model`, by its name as the endpoint has it; loaded where none is.

    `choice`: 'auto', 'none', 'any' or 'required', or a tool's name. `sampling`: of `SAMPLING`,
    and `date`. Raises GptOssError.
    """
    check_known("setting", sampling, (*SAMPLING, "date"))
    session, told = current().ready(), told.checked()
    turn_id = session.conversations.new_id()
    tools, must_call = chosen(tools, choice)
    request = settled_whole(
        read_name(model),
        tuple(told.messages),
        instructions="\n\n".join(filter(None, told.instructions)),
        tools=tools,
        must_call=must_call,
        conversation=told.conversation or f"neighbour {turn_id}",
        schema=schema,
        calls=bool(tools),
        **sampling,
    )
    return PendingTurn(model, request, turn_id, tuple(filter(None, stop or ())))


def chosen(tools: Sequence[ToolSpec], choice: Any) -> tuple[tuple[ToolSpec, ...], tuple[str, ...]]:
    """(the tools that are told, names of those one of which must be called). Raises InputError."""
    names = tuple(tool.name for tool in tools)
    if choice is None or choice is False or choice == "auto":
        return tuple(tools), ()
    if choice == "none":
        return (), ()
    if choice is True or choice in ("any", "required"):
        if not names:
            raise InputError(
                f"tool choice {choice!r}: no tool is offered; offer one, or leave the choice out"
            )
        return tuple(tools), names
    name = name_in(choice)
    check_known("tool choice", [name], names)
    return tuple(tools), (name,)


def name_in(choice: Any) -> str:
    """The tool's name in a choice: the name, or OpenAI's object. Raises InputError."""
    if isinstance(choice, dict):
        inner = choice.get("function", choice)
        choice = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(choice, str):
        raise InputError("tool choice: give auto, none, any, required or the name of a tool")
    return choice


def form_in(response_format: Any) -> Any:
    """The schema in a response format as OpenAI has it, or a class; None for free text."""
    if not isinstance(response_format, dict):
        return response_format
    kinds = {"text": None, "json_object": {"type": "object"}}
    return kinds.get(str(response_format.get("type")), response_format)


def spec_of(tool: dict[str, Any]) -> ToolSpec:
    """A tool in OpenAI's form. Raises InputError for one that is no function."""
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InputError(
            f"tool {tool.get('type')!r}: this model calls functions alone; leave it out"
        )
    about, parameters = function.get("description") or "", function.get("parameters") or {}
    return ToolSpec(function["name"], about, parameters)


def whole(asked: PendingTurn) -> Said:
    """The whole answer. Raises GptOssError, and KeyboardInterrupt for ■."""
    if threading.current_thread() is threading.main_thread():
        return _here(asked)
    *_, said = pieces(asked)
    assert isinstance(said, Said)
    return said


def _here(asked: PendingTurn) -> Said:
    speech, is_gone = Speech(asked.turn_id, asked.stop), threading.Event()

    def hear(delta: ChannelDelta) -> None:
        for _ in speech.take(delta):
            pass
        if speech.is_stopped:
            is_gone.set()

    with WORK.doing("respond"):
        listener = Listener(on_delta=hear, is_gone=is_gone.is_set)
        made, generation = speak(asked.request, listener)
    *_, said = _ended(speech, turn_apart(asked_of(asked.request), asked.request, made, generation))
    assert isinstance(said, Said)
    return said


def pieces(asked: PendingTurn) -> Iterator[Piece | Said]:
    """The answer as it comes, the whole of it last; who stops reading ends it.

    Raises GptOssError.
    """
    told: SimpleQueue[Any] = SimpleQueue()
    speech, is_gone = Speech(asked.turn_id, asked.stop), threading.Event()
    listener = Listener(on_delta=told.put, is_gone=is_gone.is_set)
    DESK.ask(asked.request, listener, told.put)
    try:
        while True:
            one = told.get()
            yield from _heard(speech, one, is_gone)
            if not isinstance(one, ChannelDelta):
                return
    finally:
        is_gone.set()


async def pieces_async(asked: PendingTurn) -> AsyncIterator[Piece | Said]:
    """`pieces` for an event loop, which goes on meanwhile."""
    loop, told = asyncio.get_running_loop(), asyncio.Queue[Any]()
    speech, is_gone = Speech(asked.turn_id, asked.stop), threading.Event()

    def tell(one: Any) -> None:
        try:
            loop.call_soon_threadsafe(told.put_nowait, one)
        except RuntimeError:  # the loop was closed
            is_gone.set()

    DESK.ask(asked.request, Listener(on_delta=tell, is_gone=is_gone.is_set), tell)
    try:
        while True:
            one = await told.get()
            for piece in _heard(speech, one, is_gone):
                yield piece
            if not isinstance(one, ChannelDelta):
                return
    finally:
        is_gone.set()


async def whole_async(asked: PendingTurn) -> Said:
    """`whole` for an event loop."""
    told = [piece async for piece in pieces_async(asked)]
    assert isinstance(told[-1], Said)
    return told[-1]


def _heard(speech: Speech, one: Any, is_gone: threading.Event) -> Iterator[Piece | Said]:
    if isinstance(one, BaseException):
        raise one
    if isinstance(one, Turn):
        yield from _ended(speech, one)
        return
    yield from speech.take(one)
    if speech.is_stopped:
        is_gone.set()


def _ended(speech: Speech, turn: Turn) -> Iterator[Piece | Said]:
    """The last pieces and the whole; its turn is kept under the id that was told."""
    if turn.finish == "interrupt" and not speech.is_stopped:
        raise KeyboardInterrupt
    yield from speech.end(turn)
    turn_id = speech.turn_id
    known: Provenance = {**turn.answer.provenance, "turn": {"id": turn_id, "parent": ""}}
    answer = replace(turn.answer, provenance=known)
    kept = replace(turn, id=turn_id, first=turn_id, answer=answer)
    yield speech.said(current().conversations.add(kept))
