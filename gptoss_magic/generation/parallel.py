"""Many prompts at once, where the engine is asked by several threads: a server's."""

from __future__ import annotations

import threading
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from gptoss_magic.errors import GptOssError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.generation.batch import BatchPrompt
    from gptoss_magic.generation.protocol import Engine, Stream
    from gptoss_magic.records import TokenDelta
    from gptoss_magic.records.provenance import ServerRecord


@dataclass(frozen=True)
class Ended:
    """The end of one answer. `finish`: see `Answer`; `error`: why there is none."""

    finish: str = "interrupt"
    server: ServerRecord | None = None
    error: BaseException | None = None


def stream_parallel(
    asks: Sequence[tuple[Engine, BatchPrompt]], num_threads: int
) -> Iterator[tuple[int, TokenDelta | Ended]]:
    """Yield (index of the prompt, token) as they come, and after the last of each an `Ended`.

    At most `num_threads` are asked at a time. An error is its prompt's alone, but for one that no
    prompt would escape (`ServerError.ends_all`, or none of ours): that is raised. Closed, or
    interrupted, it ends every answer that is open.
    """
    crew = _Crew(asks)
    try:
        yield from crew.run(min(num_threads, len(asks)))
    finally:
        crew.stop()


class _Crew:
    def __init__(self, asks: Sequence[tuple[Engine, BatchPrompt]]) -> None:
        self.asks = asks
        self.said: SimpleQueue[tuple[int, TokenDelta | Ended]] = SimpleQueue()
        self.waiting = iter(range(len(asks)))
        self.lock, self.is_over = threading.Lock(), False
        self.open: dict[int, Stream] = {}

    def run(self, num_threads: int) -> Iterator[tuple[int, TokenDelta | Ended]]:
        for _ in range(num_threads):
            work = copy_context().run  # with the adapters that stand beside the model here
            threading.Thread(target=work, args=(self._work,), daemon=True).start()
        left = len(self.asks)
        while left:
            index, item = self.said.get()
            if isinstance(item, Ended):
                left -= 1
                if item.error is not None and _ends_all(item.error):
                    raise item.error
            yield index, item

    def stop(self) -> None:
        """No thread begins another answer, and those that wait for a token wake up."""
        with self.lock:
            self.is_over, streams = True, list(self.open.values())
        for stream in streams:
            stream.close()

    def _work(self) -> None:
        while True:
            with self.lock:
                index = None if self.is_over else next(self.waiting, None)
            if index is None:
                return
            try:
                self._answer(index)
            except BaseException as error:  # noqa: BLE001 (the main thread judges it)
                self.said.put((index, Ended(error=error)))

    def _answer(self, index: int) -> None:
        engine, prompt = self.asks[index]
        stream = engine.stream(prompt.prompt, prompt.settings, grammar=prompt.grammar)
        with self.lock:
            self.open[index] = stream
            if self.is_over:
                stream.close()
        finish = None
        try:
            for token in stream:
                self.said.put((index, token))
                finish = token.finish
        finally:
            with self.lock:
                del self.open[index]
            stream.close()
        self.said.put((index, Ended(finish or stream.ended, stream.server)))


def _ends_all(error: BaseException) -> bool:
    return getattr(error, "ends_all", not isinstance(error, GptOssError))
