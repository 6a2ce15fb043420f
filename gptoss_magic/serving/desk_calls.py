"""From a settled request to an answer that is on its way, and on the record when it is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import ChannelDelta, TokenDelta, Turn
from gptoss_magic.serving.call import Call
from gptoss_magic.serving.faults import ApiError, api_error
from gptoss_magic.serving.ledger import Ledger, Served, new_id
from gptoss_magic.serving.metrics import Metrics
from gptoss_magic.serving.output import Output
from gptoss_magic.session import current
from gptoss_magic.turns.together import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request as Asked

    from gptoss_magic.records import Request
    from gptoss_magic.serving.offers import Offers
    from gptoss_magic.serving.output import OutputEvent

    Told = TokenDelta | ChannelDelta | Turn
    Part = tuple[Told, list[OutputEvent]]

CALLER_LEFT = 499  # nginx's status for it; nobody reads it


class Answers:
    """What serves: the desk, the record of what was served, and the counts."""

    def __init__(self) -> None:
        self.desk, self.ledger, self.metrics = Desk(), Ledger(), Metrics()

    def open(self, route: str, model: str, asked: str, prefix: str, root: str = "") -> Served:
        """A request that came, on the record."""
        served = Served(new_id(prefix), route, model, asked)
        served.root = root or served.id
        return self.ledger.open(served)

    def close(self, served: Served, turn: Turn, output: Output | None) -> None:
        """Its answer is over."""
        if output is not None:
            served.call_ids = tuple(item.call_id for item in output.calls)
        finish = output.finish if output is not None else turn.answer.finish
        states = {"length": "incomplete", "interrupt": "gone"}
        self.metrics.count(turn)
        self.ledger.close(served, turn, states.get(finish, "completed"))

    def fail(self, served: Served, error: BaseException) -> ApiError:
        """It cannot be answered, or its caller left."""
        told = api_error(error)
        is_gone = isinstance(error, (asyncio.CancelledError, GeneratorExit))
        self.ledger.close(served, None, "gone" if is_gone else "failed", told.message)
        return told

    async def told(
        self, served: Served, request: Request, output: Output | None
    ) -> AsyncIterator[tuple[Told, list[OutputEvent]]]:
        """The answer as it comes, with what each part makes of `output`; the turn last.

        It is on the record then. Raises what failed.
        """
        call = Call(self.desk, served, request)
        stream = call.told()
        try:
            async for one in stream:
                changes = output.take(one) if output is not None else []
                if isinstance(one, Turn):
                    self.close(served, one, output)
                yield one, changes
                if output is not None and output.is_stopped:
                    call.stop()
        except BaseException as error:
            self.fail(served, error)
            raise
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


async def merged(streams: Sequence[AsyncIterator[Part]]) -> AsyncIterator[tuple[int, Part]]:
    """(number of the stream, what it gives) as they come. Raises what one of them raises."""
    told: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()

    async def pump(number: int, stream: AsyncIterator[Part]) -> None:
        try:
            async for one in stream:
                told.put_nowait((number, one))
            told.put_nowait((number, None))
        except Exception as error:  # noqa: BLE001 (raised by who reads)
            told.put_nowait((number, error))
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    tasks = [asyncio.ensure_future(pump(*pair)) for pair in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            number, one = await told.get()
            if isinstance(one, Exception):
                raise one
            if one is None:
                left -= 1
                continue
            yield number, one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def while_there(asked: Asked, work: Awaitable[Any]) -> Any:
    """The result of `work`, which ends where its caller leaves. Raises ApiError then."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(asked.receive))
    try:
        await asyncio.wait([task, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(CALLER_LEFT, "the caller left")
        return task.result()
    finally:
        for one in (task, leaving):
            one.cancel()
            with suppress(BaseException):
                await one


async def _left(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def output_of(offers: Offers, stop: tuple[str, ...] = ()) -> Output:
    """What gathers the answer of the model that is loaded. Raises NotLoaded."""
    return Output(current().codec, offers, stop)
