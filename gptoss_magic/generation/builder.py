"""One call of the model: token ids in, deltas while it runs, an `Answer` out. Survives ■."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow
from gptoss_magic.harmony import HarmonyParser, prune, render
from gptoss_magic.quoting import num_surrogates
from gptoss_magic.records import Answer, ChannelDelta, Listener, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.generation.protocol import Engine, Stream
    from gptoss_magic.records import Message, SamplingSettings, TokenDelta
    from gptoss_magic.records.provenance import Provenance, ServerRecord

SILENT = Listener()


@dataclass(frozen=True)
class Slices:
    """How a call shares the model: it computes within `open` and pauses where it `is_wanted`.

    `open(is_back)`: True where the call was in before, and comes back to go on.
    """

    open: Callable[[bool], AbstractContextManager[Any]] = nullcontext
    is_wanted: Callable[[], bool] = lambda: False


ALONE = Slices()


def run_turn(
    engine: Engine, messages: Sequence[Message], settings: SamplingSettings, **how: Any
) -> Answer:
    """Render `messages`, generate, parse: `run_tokens` behind them.

    The provenance's `lone_surrogates` counts characters that were read as U+FFFD, where any were.
    Raises ContextOverflow before the start.
    """
    if broken := sum(num_surrogates(message.content) for message in messages):
        how["provenance"] = {**(how.get("provenance") or {}), "lone_surrogates": broken}
    with said_before(messages, engine):
        return run_tokens(engine, render(prune(messages), engine.codec), settings, **how)


def run_tokens(
    engine: Engine,
    prompt_T: Sequence[int],
    settings: SamplingSettings,
    *,
    kept: Sequence[int] = (),
    grammar: Any = None,
    conversation: str = "",
    cold: bool = False,
    routing: bool = False,
    num_top: int = 0,
    listener: Listener = SILENT,
    slices: Slices = ALONE,
    provenance: Provenance | None = None,
) -> Answer:
    """Go on behind `prompt_T` and `kept`, parse. KeyboardInterrupt ends the answer as 'interrupt'.

    `kept`: the answer's tokens that stand already; they are parsed and told to the listener as if
    they were new, and count as prompt in the answer's `usage`. `kept`, `grammar`, `conversation`,
    `cold`, `routing`, `num_top`: see `Engine.stream`. `provenance` is completed by the prompt's
    token ids and the sampler's settings. Raises ContextOverflow, InputError before the start.
    """
    builder = AnswerBuilder(HarmonyParser(engine.codec), listener.on_delta, listener.on_token)
    builder.keep(kept)
    stream, trace = None, None

    def open_stream() -> Stream:
        return engine.stream(
            prompt_T,
            settings,
            conversation=conversation,
            cold=cold,
            routing=routing,
            kept=kept,
            grammar=grammar,
            num_top=num_top,
            on_prefill=listener.on_prefill,
        )

    try:
        with suppress(KeyboardInterrupt):
            while not builder.done:
                with slices.open(stream is not None):
                    stream = stream or open_stream()
                    builder.read(stream, slices.is_wanted, listener.is_gone)
        with suppress(KeyboardInterrupt):
            builder.close(settings.stop)
        num_cached = stream.num_cached if stream else 0
        trace = stream.trace([*prompt_T, *builder.parser.raw_tokens]) if stream else None
    finally:
        if stream is not None:
            stream.close()
    record = recorded(provenance or {}, prompt_T, settings, num_cached)
    answer = replace(builder.answer(len(prompt_T), num_cached, record), routing=trace)
    return answer if stream is None or stream.server is None else told(answer, stream.server)


def recorded(
    provenance: Provenance, prompt_T: Sequence[int], settings: SamplingSettings, num_cached: int
) -> Provenance:
    """`provenance` with the prompt's token ids and the sampler's settings."""
    return {
        **provenance,
        "prompt_tokens": list(prompt_T),
        "sampling": settings.record(),
        "cached_tokens": num_cached,
    }


def told(answer: Answer, server: ServerRecord) -> Answer:
    """The answer with who gave it, and that one's own counts of tokens, where it told them."""
    usage, made = answer.usage, answer.provenance
    if "prompt_tokens" in server:
        num_new = server["completion_tokens"]
        share = usage.analysis_tokens / max(1, usage.completion_tokens)
        usage = replace(
            usage,
            prompt_tokens=server["prompt_tokens"],
            completion_tokens=num_new,
            analysis_tokens=round(share * num_new),
        )
    return replace(answer, usage=usage, provenance={**made, "server": server})


@contextmanager
def said_before(messages: Sequence[Message], engine: Engine) -> Iterator[None]:
    """Let a ContextOverflow say what --new would drop."""
    try:
        yield
    except ContextOverflow as error:
        said = [m for m in prune(messages) if m.role not in ("system", "developer")][:-1]
        if not said:
            raise
        size = len(render(said, engine.codec, prompt=False))
        raise ContextOverflow(
            f"{error}; --new drops the {len(said)} earlier messages ({size} tokens)"
        ) from None


class AnswerBuilder:
    """What one answer has gathered so far. Its clock runs from the making to `close`.

    `finish` is 'interrupt' until the last token says otherwise; `done` once that was read.
    """

    def __init__(
        self,
        parser: HarmonyParser,
        on_delta: Callable[[ChannelDelta], None] = lambda delta: None,
        on_token: Callable[[TokenDelta], None] = lambda token: None,
    ) -> None:
        self.parser, self.on_delta, self.on_token = parser, on_delta, on_token
        self.finish, self.done = "interrupt", False
        self.start, self.first, self.analysis_end = time.perf_counter(), 0.0, 0.0
        self.total: float | None = None
        self.num_analysis = self.num_kept = 0
        self.cut: tuple[str, ...] = ()
        self.logprobs: list[float | None] = []

    def keep(self, tokens: Sequence[int]) -> None:
        """Tokens that stand already: parsed and shown, neither timed nor counted as new."""
        self.num_kept = len(tokens)
        for token in tokens:
            for delta in self.parser.feed(token):
                self.on_delta(delta)

    def read(
        self, stream: Stream, is_wanted: Callable[[], bool], is_gone: Callable[[], bool]
    ) -> None:
        """Take the stream's tokens to their end, or until another thread wants the model.

        Raises KeyboardInterrupt where who asked is gone.
        """
        for token in stream:
            self.take(token)
            if self.done:
                return
            if is_gone():
                raise KeyboardInterrupt
            if is_wanted():
                return
        self.finish, self.done = stream.ended, True

    def take(self, token: TokenDelta) -> None:
        """One new token."""
        now = time.perf_counter() - self.start
        self.first = self.first or now
        self.logprobs.append(token.logprob)
        if token.finish:
            self.finish, self.done = token.finish, True
        self.on_token(token)
        deltas = self.parser.feed(token.token_id)
        if any(delta.channel == "analysis" for delta in deltas):
            self.num_analysis += 1
            self.analysis_end = now
        for delta in deltas:
            self.on_delta(delta)

    def add(self, delta: TokenDelta, stop: tuple[str, ...]) -> bool:
        """One token of a batch; True where it was the answer's last, which is closed then."""
        self.take(delta)
        if self.done:
            self.close(stop)
        return self.done

    def end(self, finish: str, stop: tuple[str, ...]) -> None:
        """No token comes any more, and the last one did not say why."""
        self.finish, self.done = finish, True
        self.close(stop)

    def close(self, stop: tuple[str, ...]) -> None:
        """The last token came; `stop` are the strings that may have ended it. Stops the clock."""
        self.total = time.perf_counter() - self.start
        self.cut = stop if self.finish == "stop" else ()
        for delta in self.parser.close():
            self.on_delta(delta)

    def answer(self, num_prompt: int, num_cached: int, provenance: Provenance) -> Answer:
        """The whole of it; numbers in tokens."""
        parser = self.parser
        total = time.perf_counter() - self.start if self.total is None else self.total
        tokens = tuple(parser.raw_tokens)
        usage = Usage(
            num_prompt + self.num_kept,
            len(tokens) - self.num_kept,
            self.num_analysis,
            self.first,
            self.analysis_end,
            total,
            num_cached,
        )
        return Answer(
            final=_before(parser.final, self.cut),
            analysis=parser.analysis if parser.final else _before(parser.analysis, self.cut),
            commentary=parser.commentary,
            tool_calls=parser.tool_calls,
            messages=parser.messages,
            usage=usage,
            finish=self.finish if self.done else "interrupt",
            raw_tokens=tokens,
            provenance=provenance,
            repairs=parser.repairs,
            logprobs=tuple(score for score in self.logprobs if score is not None),
        )


def _before(text: str, stop: tuple[str, ...]) -> str:
    places = [at for at in map(text.find, stop) if at >= 0]
    return text[: min(places)] if places else text
