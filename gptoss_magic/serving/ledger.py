"""What was served: each request, its answer in exact tokens, and how far it is."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.exact import Exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gptoss_magic.records import Message, Turn

MOST = 1000  # answers that are kept
ENDED = ("completed", "incomplete", "failed", "gone")


@dataclass
class Served:
    """One request. `state` is 'waiting', 'answering', or one of `ENDED` ('gone': its caller left).

    `messages`: the conversation up to its answer, and after it with it. `input_items` and
    `resource` are what /v1/responses gives back; `is_stored`: whether it does. `root`: the first
    of its conversation, whose KV cache it goes on with. `num_tokens`: new ones so far.
    """

    id: str
    route: str
    model: str
    asked: str
    created: float = field(default_factory=time.time)
    root: str = ""
    state: str = "waiting"
    messages: tuple[Message, ...] = ()
    input_items: list[dict[str, Any]] = field(default_factory=list)
    resource: dict[str, Any] | None = None
    is_stored: bool = False
    call_ids: tuple[str, ...] = ()  # of its calls, in order
    turn: Turn | None = None
    fault: str = ""
    num_tokens: int = 0
    num_repairs: int = 0
    ended: float = 0.0
    stop: Callable[[], None] = lambda: None


class Ledger:
    """Requests by id, oldest first; at most `MOST` that are over are kept.

    `listeners` are called when one comes or ends, in the thread that does it: be quick.
    """

    def __init__(self) -> None:
        self.exact = Exact()
        self.listeners: list[Callable[[], None]] = []
        self._served: dict[str, Served] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Served]:
        with self._lock:
            return iter(list(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)

    def open(self, served: Served) -> Served:
        """A request has come."""
        with self._lock:
            self._served[served.id] = served
        self._tell()
        return served

    def get(self, name: str) -> Served | None:
        """The request of this id."""
        return self._served.get(name)

    def close(self, served: Served, turn: Turn | None, state: str, fault: str = "") -> None:
        """It is over: its answer can be found again by its text and its calls."""
        with self._lock:
            served.state, served.fault, served.ended = state, fault, time.time()
            served.turn = turn
            if turn is not None:
                served.num_repairs = len(turn.answer.repairs)
                served.messages = (*served.messages, *turn.said)
                self.exact.add(turn.said, served.call_ids)
            self._trim()
        self._tell()

    def forget(self, name: str) -> bool:
        """Drop a stored answer; False where there is none."""
        served = self._served.get(name)
        if served is None or not served.is_stored:
            return False
        with self._lock:
            self._drop(served)
        self._tell()
        return True

    def item(self, name: str) -> dict[str, Any] | None:
        """An item of an answer that was given, or of an input, by its id."""
        for served in reversed(list(self)):
            output = served.resource["output"] if served.resource else []
            for item in [*served.input_items, *output]:
                if item.get("id") == name:
                    return dict(item)
        return None

    def root_of(self, messages: tuple[Message, ...]) -> str:
        """The root of the answer that a conversation goes on behind; '' where it is a new one."""
        said = {id(message) for message in messages if message.role == "assistant"}
        for served in reversed(list(self)):
            if served.turn is not None and any(id(one) in said for one in served.turn.said):
                return served.root
        return ""

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()

    def _trim(self) -> None:
        over = [one for one in self._served.values() if one.state in ENDED]
        for served in over[: max(0, len(over) - MOST)]:
            self._drop(served)

    def _drop(self, served: Served) -> None:
        self._served.pop(served.id, None)
        if served.turn is not None:
            self.exact.remove(served.turn.said, served.call_ids)


def new_id(prefix: str) -> str:
    """The prefix and 24 hexadecimal digits."""
    return prefix + secrets.token_hex(12)
