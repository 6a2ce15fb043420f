"""Many callers' requests, answered as they come: those beside the same adapters as one batch.

A caller is told by its `Listener` in the thread that works, and of the end by `on_end`. The work
has the model in fair turns with the notebook's cells and with the others (generation/queue.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import NotLoaded
from gptoss_magic.generation import AnswerBuilder
from gptoss_magic.generation.builder import recorded
from gptoss_magic.generation.company import Company
from gptoss_magic.harmony import HarmonyParser
from gptoss_magic.records import Listener, Message
from gptoss_magic.session import current
from gptoss_magic.turns.answer import grammar_of, provenance_of, speak, spoken, turn_apart
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.generation import LocalEngine
    from gptoss_magic.generation.decoding import Decoding
    from gptoss_magic.records import Request, TokenDelta, Turn

    Ended = Callable[[Turn | BaseException], None]

MOST = 16  # answers that are decoded together; the others wait
PATIENCE_S = 30.0  # a thread without work ends


@dataclass
class Asked:
    """A request on its way to an answer. `prompt_ids`, `builder` and `member` once it is begun."""

    request: Request
    listener: Listener
    on_end: Ended
    prompt_ids: list[int] = field(default_factory=list)
    builder: Any = None
    member: Decoding | None = None
    began: float = 0.0

    def turn(self, engine: LocalEngine) -> Turn:
        """The record of what was said."""
        request, identity = self.request, current().require().identity
        assert self.member is not None
        self.builder.close(request.sampling.stop)
        num_cached = self.member.num_cached
        record = recorded(
            provenance_of(request, identity), self.prompt_ids, request.sampling, num_cached
        )
        said = self.builder.answer(len(self.prompt_ids), num_cached, record)
        made, generation = spoken(request, self.prompt_ids, said, self.began)
        return turn_apart(asked_of(request), request, made, generation)


def asked_of(request: Request) -> Message:
    """What the user said last."""
    users = [message for message in request.messages if message.role == "user"]
    return users[-1] if users else Message("user", request.prompt)


class Desk:
    """Takes requests from any thread. One thread works for each set of adapters, while it has to.

    `num_open`: requests that are not ended yet.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, ...], deque[Asked]] = {}
        self._workers: dict[tuple[str, ...], _Worker] = {}
        self.num_open = 0

    def ask(self, request: Request, listener: Listener, on_end: Ended) -> None:
        """Answer `request`; `on_end` is given its turn, or what went wrong. Nothing is raised."""
        asked = Asked(request, listener, self._counted(on_end))
        can_batch = current().loaded is not None and current().engine.capabilities.batches
        if not can_batch or request.routing or request.probe:
            name = f"served {request.adapters or (NONE,)}"
            threading.Thread(target=_alone, args=(asked,), name=name, daemon=True).start()
            return
        key = request.adapters or (NONE,)
        with self._changed:
            self._waiting.setdefault(key, deque()).append(asked)
            if key not in self._workers:
                self._workers[key] = _Worker(self, key)
                self._workers[key].start()
            self._changed.notify_all()

    def _counted(self, on_end: Ended) -> Ended:
        with self._changed:
            self.num_open += 1

        def ended(result: Turn | BaseException) -> None:
            with self._changed:
                self.num_open -= 1
            on_end(result)

        return ended

    def taken(self, key: tuple[str, ...], most: int) -> list[Asked]:
        """At most so many of the requests that wait beside these adapters, oldest first."""
        with self._changed:
            waiting = self._waiting.get(key, deque())
            return [waiting.popleft() for _ in range(min(most, len(waiting)))]

    def is_over(self, key: tuple[str, ...]) -> bool:
        """Wait for more; True where none came, and the thread of `key` is to end."""
        with self._changed:
            if not self._waiting.get(key):
                self._changed.wait(PATIENCE_S)
            if self._waiting.get(key):
                return False
            del self._workers[key]
            self._waiting.pop(key, None)
            return True


class _Worker(threading.Thread):
    """Answers what waits beside one set of adapters."""

    def __init__(self, desk: Desk, key: tuple[str, ...]) -> None:
        super().__init__(name=f"served beside {' + '.join(key)}", daemon=True)
        self.desk, self.key = desk, key
        self.open: list[Asked] = []
        self.company: Company | None = None

    @property
    def _company(self) -> Company:
        assert self.company is not None
        return self.company

    def run(self) -> None:
        while not self.desk.is_over(self.key):
            self.open = self.desk.taken(self.key, MOST)
            while self.open:
                try:
                    with current().using(self.key, self._is_nobody_there, is_back=self._is_begun()):
                        self._work()
                except BaseException as error:  # noqa: BLE001 (each caller is told)
                    self._fail(error)

    def _is_begun(self) -> bool:
        return any(asked.member is not None for asked in self.open)

    def _is_nobody_there(self) -> bool:
        return all(asked.listener.is_gone() for asked in self.open)

    def _work(self) -> None:
        """Until all is answered, or another thread wants the model."""
        session = current()
        engine = session.local_engine
        if self.company is None or self.company.engine is not engine:
            self._renew(engine)
        while self.open and not session.queue.is_wanted:
            self._step(engine)
            self.open += self.desk.taken(self.key, MOST - len(self.open))

    def _renew(self, engine: LocalEngine) -> None:
        """Another model is there: what the old one began cannot go on."""
        begun = [asked for asked in self.open if asked.member is not None]
        self.open = [asked for asked in self.open if asked.member is None]
        self.company = Company(engine)
        for asked in begun:
            asked.on_end(NotLoaded("the model was unloaded while it answered: ask again"))

    def _step(self, engine: LocalEngine) -> None:
        for asked in [asked for asked in self.open if asked.member is None]:
            self._begin(asked, engine)
        for asked in [asked for asked in self.open if asked.listener.is_gone()]:
            self._end(asked, engine)
        if not self.open:
            return
        by_member = {id(asked.member): asked for asked in self.open}
        for member, said in list(self._company.step()):
            asked = by_member[id(member)]
            if isinstance(said, Exception):
                self._ended(asked, said)
            elif asked in self.open:
                self._take(asked, said, engine)

    def _begin(self, asked: Asked, engine: LocalEngine) -> None:
        request, listener = asked.request, asked.listener
        try:
            asked.prompt_ids, asked.began = ids_of(request), time.time()
            asked.member = engine.begun(
                asked.prompt_ids,
                request.sampling,
                conversation=request.conversation,
                cold=request.is_cold,
                kept=request.kept_ids,
                grammar=grammar_of(request, engine),
                num_top=request.num_top,
                on_prefill=listener.on_prefill,
            )
        except Exception as error:  # noqa: BLE001 (its caller is told; the others go on)
            self._ended(asked, error)
            return
        parser = HarmonyParser(engine.codec)
        asked.builder = AnswerBuilder(parser, listener.on_delta, listener.on_token)
        asked.builder.keep(request.kept_ids)
        self._company.members.append(asked.member)

    def _take(self, asked: Asked, token: TokenDelta, engine: LocalEngine) -> None:
        try:
            asked.builder.take(token)
            turn = asked.turn(engine) if asked.builder.done else None
        except Exception as error:  # noqa: BLE001 (who listens is gone, or breaks; others go on)
            if asked.member in self._company.members:
                self._company.leave(asked.member)
            self._ended(asked, error)
            return
        if turn is not None:
            self._ended(asked, turn)

    def _end(self, asked: Asked, engine: LocalEngine) -> None:
        """Its caller is gone: its answer ends as an interrupted one."""
        if asked.member is None:
            self._ended(asked, KeyboardInterrupt())
            return
        self._company.leave(asked.member)
        self._ended(asked, asked.turn(engine))

    def _ended(self, asked: Asked, result: Turn | BaseException) -> None:
        self.open.remove(asked)
        asked.on_end(result)

    def _fail(self, error: BaseException) -> None:
        """Nobody is left waiting, and no cache open."""
        if self.company is not None:
            for member in tuple(self.company.members):
                self.company.leave(member)
        asked_all, self.open = self.open, []
        for asked in asked_all:
            with suppress(Exception):
                asked.on_end(error)


def _alone(asked: Asked) -> None:
    """By an engine that does not batch, or with what a batch cannot have."""
    try:
        made, generation = speak(asked.request, asked.listener)
        asked.on_end(turn_apart(asked_of(asked.request), asked.request, made, generation))
    except BaseException as error:  # noqa: BLE001 (the caller is told)
        asked.on_end(error)
