"""One answer of a server as a stream of tokens, whatever becomes of the connection."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.generation.answer_row import StopStrings
from gptoss_magic.records import TokenDelta
from gptoss_magic.serving.remote.refusals import RemoteFault, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records.provenance import ServerRecord
    from gptoss_magic.serving.remote.client import Client, OpenAnswer

CUT = "the connection ended before the answer did; ask again"


@dataclass(frozen=True)
class AnswerPart:
    """What one event brings: `ids`, their log-probabilities where told, and how it ends.

    `finish`: 'stop', 'length', 'call' or any other word of the server's; '' while it goes on.
    `cached`: prompt tokens that the server did not compute again. `usage`: (prompt, completion) in
    the server's own tokens, where ours are not its own.
    """

    ids: Sequence[int] = ()
    logprobs: Sequence[float | None] = ()
    finish: str = ""
    cached: int | None = None
    usage: tuple[int, int] | None = None


Opened = tuple["OpenAnswer", Iterator[AnswerPart]]


class RemoteStream:
    """The tokens of one answer of a server; see `Stream`.

    `ask(said)` opens the answer behind the tokens that were said so far; it is called again where
    nothing was said and the fault may pass, and where `is_next(token)` says that the rest is to be
    asked for otherwise. `max_tokens`: None where the server counts in tokens of its own. An answer
    that breaks off keeps what came: `ended` is 'interrupt', and the server's record has a `note`.
    """

    def __init__(
        self,
        client: Client,
        ask: Callable[[Sequence[int]], Opened],
        codec: HarmonyCodec,
        server: ServerRecord,
        *,
        stop: tuple[str, ...] = (),
        max_tokens: int | None = None,
        is_next: Callable[[int], bool] = lambda token: False,
    ) -> None:
        self.num_cached, self.ended = 0, "interrupt"
        self.server: ServerRecord | None = server
        self._client, self._ask, self._is_next = client, ask, is_next
        self._special, self._watch = codec.special, StopStrings(stop, codec)
        self._max_tokens = max_tokens
        self._said: list[int] = []
        self._open: OpenAnswer | None = None
        self._parts: Iterator[AnswerPart] = iter(())
        self._is_closed = False
        self._tokens = self._deltas()

    def __iter__(self) -> RemoteStream:
        return self

    def __next__(self) -> TokenDelta:
        return next(self._tokens)

    def trace(self, ids_T: Sequence[int]) -> None:
        """No server says where tokens go."""

    def close(self) -> None:
        """Hang up, from any thread: the server stops within a token."""
        self._is_closed = True
        if self._open is not None:
            self._open.close()

    def _deltas(self) -> Iterator[TokenDelta]:
        """Up to the end of the answer: harmony's, a stop string's, or that of max_tokens."""
        try:
            for token, logprob in self._read():
                self._said.append(token)
                finish = self._finish(token)
                if finish:
                    self.ended = finish
                    self._hear_out(finish)
                yield TokenDelta(token, finish, logprob)
                if finish:
                    return
        finally:
            self.close()

    def _hear_out(self, finish: str) -> None:
        """Read what comes behind the last token, such as counts; the server has a moment for it."""
        if finish == "stop" or self._open is None:
            return
        self._open.hurry()
        with suppress(RemoteFault):
            for part in self._parts:
                self._take(part)
                if part.ids:
                    return

    def _finish(self, token: int) -> str | None:
        for name in ("return", "call"):
            if token == self._special[name]:
                return name
        if self._watch.hit(token):
            return "stop"
        return "length" if len(self._said) == self._max_tokens else None

    def _read(self) -> Iterator[tuple[int, float | None]]:
        """Tokens of one answer, or of several where the rest is asked for otherwise."""
        number = 0
        while True:
            try:
                if (yield from self._read_one()):
                    return
            except RemoteFault as fault:
                if self._is_closed:
                    return
                if self._said:
                    return self._lost(fault)
                self._client.pause(fault, number)
                number += 1

    def _read_one(self) -> Generator[tuple[int, float | None], None, bool]:
        """Gives True where this was the answer's end."""
        self._open, parts = self._ask(self._said)
        self._parts = self._readable(parts)
        if self._is_closed:
            self._open.close()
            return True
        for part in self._parts:
            self._take(part)
            for place, token in enumerate(part.ids):
                yield token, part.logprobs[place] if place < len(part.logprobs) else None
                if self._is_next(token):
                    self._open.close()
                    return False
            if part.finish:
                return self._ended_by(part.finish)
        raise RemoteFault(f"{self._client.address.root}: {CUT}", is_passing=True)

    def _readable(self, parts: Iterator[AnswerPart]) -> Iterator[AnswerPart]:
        with readable(self._client.address.root):
            yield from parts

    def _ended_by(self, finish: str) -> bool:
        """The server's word, where no token of ours said the same."""
        if finish == "length":
            self.ended = "length"
        elif finish in ("return", "call", "stop"):
            self.ended = "return" if finish == "stop" else finish
        else:
            self._note(f"the server ended it by {finish!r}")
        return True

    def _take(self, part: AnswerPart) -> None:
        if part.cached is not None:
            self.num_cached = part.cached
        if part.usage is not None and self.server is not None:
            prompt, completion = part.usage
            self.server["prompt_tokens"] = prompt
            self.server["completion_tokens"] = completion

    def _lost(self, fault: RemoteFault) -> None:
        self._note(f"{fault}: {len(self._said)} tokens came and are kept")

    def _note(self, words: str) -> None:
        if self.server is not None:
            self.server["note"] = words
