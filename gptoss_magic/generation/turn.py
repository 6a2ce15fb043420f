"""One turn: messages in, deltas while it runs, an `Answer` out. Survives an interrupt."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ContextOverflow
from gptoss_magic.harmony import HarmonyParser, prune, render
from gptoss_magic.quoting import num_surrogates
from gptoss_magic.records import Answer, ChannelDelta, Message, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.generation.engine import Engine
    from gptoss_magic.generation.guide import Grammar
    from gptoss_magic.generation.sampling import SamplingSettings


def run_turn(
    engine: Engine,
    messages: Sequence[Message],
    settings: SamplingSettings,
    **how: Any,
) -> Answer:
    """Render `messages`, generate, parse: `run_tokens` behind them.

    The provenance's `lone_surrogates` counts characters that were read as U+FFFD, where any were.
    Raises ContextOverflow before the start.
    """
    if broken := sum(num_surrogates(message.content) for message in messages):
        how["provenance"] = {**(how.get("provenance") or {}), "lone_surrogates": broken}
    with _said(messages, engine):
        return run_tokens(engine, render(prune(messages), engine.codec), settings, **how)


def run_tokens(
    engine: Engine,
    prompt_T: Sequence[int],
    settings: SamplingSettings,
    *,
    kept: Sequence[int] = (),
    grammar: Grammar | None = None,
    conversation: str = "",
    cold: bool = False,
    routing: bool = False,
    on_delta: Callable[[ChannelDelta], None] = lambda delta: None,
    on_prefill: Callable[[int, int], None] = lambda done, total: None,
    provenance: dict[str, Any] | None = None,
) -> Answer:
    """Go on behind `prompt_T` and `kept`, parse. KeyboardInterrupt ends the answer as 'interrupt'.

    `kept`: the answer's tokens that stand already; they are parsed and told to `on_delta` as if
    they were new, and count as prompt in the answer's `usage`. `kept`, `grammar`, `conversation`,
    `cold`, `routing`, `on_prefill`: see `Engine.stream`. `provenance` is completed by the prompt's
    token ids and the sampler's settings. Raises ContextOverflow, InputError before the start.
    """
    turn = Turn(HarmonyParser(engine.codec), on_delta)
    tokens = engine.stream(
        prompt_T,
        settings,
        conversation=conversation,
        cold=cold,
        routing=routing,
        kept=kept,
        grammar=grammar,
        on_prefill=on_prefill,
    )
    turn.keep(kept)
    with suppress(KeyboardInterrupt):
        for token in tokens:
            turn.take(token.token_id)
            turn.finish = token.finish or "interrupt"
        turn.done = True
    with suppress(KeyboardInterrupt):
        turn.close(settings.stop if turn.finish == "stop" else ())
    record = {**(provenance or {}), "prompt_tokens": list(prompt_T)}
    record |= {"sampling": settings.record(), "cached_tokens": engine.num_cached}
    answer = turn.answer(len(prompt_T), engine.num_cached, record)
    return replace(answer, routing=engine.trace([*prompt_T, *answer.raw_tokens]))


@contextmanager
def _said(messages: Sequence[Message], engine: Engine) -> Iterator[None]:
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


class Turn:
    """What one answer has gathered so far."""

    def __init__(
        self,
        parser: HarmonyParser,
        on_delta: Callable[[ChannelDelta], None] = lambda delta: None,
    ) -> None:
        self.parser, self.on_delta = parser, on_delta
        self.finish, self.done = "interrupt", False
        self.start, self.first, self.analysis_end = time.perf_counter(), 0.0, 0.0
        self.num_analysis = self.num_kept = 0
        self.cut: tuple[str, ...] = ()

    def keep(self, tokens: Sequence[int]) -> None:
        """Tokens that stand already: parsed and shown, neither timed nor counted as new."""
        self.num_kept = len(tokens)
        for token in tokens:
            for delta in self.parser.feed(token):
                self.on_delta(delta)

    def take(self, token: int) -> None:
        now = time.perf_counter() - self.start
        self.first = self.first or now
        deltas = self.parser.feed(token)
        if any(delta.channel == "analysis" for delta in deltas):
            self.num_analysis += 1
            self.analysis_end = now
        for delta in deltas:
            self.on_delta(delta)

    def close(self, stop: tuple[str, ...]) -> None:
        self.cut = stop
        for delta in self.parser.close():
            self.on_delta(delta)

    def answer(self, num_prompt: int, num_cached: int, provenance: dict[str, Any]) -> Answer:
        parser, total = self.parser, time.perf_counter() - self.start
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
        )


def _before(text: str, stop: tuple[str, ...]) -> str:
    places = [at for at in map(text.find, stop) if at >= 0]
    return text[: min(places)] if places else text
