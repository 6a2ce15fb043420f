"""An engine that answers from a script, so that every path of a tool run can be tested.

It stands where the real one stands: prompts are rendered, its tokens are parsed and shown as those
of a model would be, only that no model chooses them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.generation.protocol import Capabilities
from gptoss_magic.harmony import render
from gptoss_magic.records import Message, TokenDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records.provenance import ServerRecord


def calling(name: str, raw: str, thought: str = "") -> list[Message]:
    """A turn's messages: a thought and a call with these (raw) arguments.

    A tool that gpt-oss knows by heart (`browser.open`) is called within the analysis, as it does.
    """
    if name.startswith("browser."):
        return [*_thinking(thought), Message("assistant", raw, "analysis", name, "code")]
    kind, recipient = "<|constrain|>json", f"functions.{name}"
    call = Message("assistant", raw, "commentary", recipient, kind)
    return [*_thinking(thought), call]


def running(code: str, thought: str = "") -> list[Message]:
    """A turn's messages: a thought and code for `python`, as it stands."""
    return [*_thinking(thought), Message("assistant", code, "analysis", "python", "code")]


def saying(final: str, thought: str = "") -> list[Message]:
    """A turn's messages: a thought and the answer."""
    return [*_thinking(thought), Message("assistant", final, "final")]


def _thinking(thought: str) -> list[Message]:
    return [Message("assistant", thought, "analysis")] if thought else []


class ScriptedStream:
    """The tokens of one turn of a script."""

    num_cached, ended = 0, "interrupt"
    server: ServerRecord | None = None

    def __init__(self, tokens: Iterator[TokenDelta]) -> None:
        self._tokens = tokens

    def __iter__(self) -> ScriptedStream:
        return self

    def __next__(self) -> TokenDelta:
        return next(self._tokens)

    def trace(self, ids_T: Sequence[int]) -> None:
        """No routing."""

    def close(self) -> None:
        """Nothing is held."""


class ScriptedEngine:
    """Says one turn of `script` after the other, whatever the prompt; `prompts` keeps their ids.

    A turn is the messages to say (a call ends it, as it does a model's turn), or a function of the
    prompt's text that gives them. Past the end of the script `always` says more,
    or it says that it is over.
    Everything else is the `engine`'s, where one is given.
    """

    def __init__(
        self,
        codec: HarmonyCodec,
        script: Sequence[list[Message] | Callable[[str], list[Message]]],
        engine: Any = None,
        *,
        is_bounded: bool = False,
        always: Callable[[str], list[Message]] | None = None,
    ) -> None:
        self.is_bounded, self.always = is_bounded, always
        self.codec, self.script, self.engine = codec, list(script), engine
        self.prompts: list[list[int]] = []
        self.context = engine.context if engine is not None else 1 << 20

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["engine"], name)

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: Any,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
        **_how: Any,
    ) -> ScriptedStream:
        """The tokens of the next turn, at most `settings.max_tokens`.

        Raises ContextOverflow where it `is_bounded` and the engine has no room for them.
        """
        self.check(prompt_T, settings.max_tokens)
        self.prompts.append(list(prompt_T))
        number = len(self.prompts) - 1
        beyond = self.always or saying("The script is over.")
        turn = self.script[number] if number < len(self.script) else beyond
        said = turn(self.codec.decode(list(prompt_T))) if callable(turn) else turn
        return ScriptedStream(self._tokens(said, settings.max_tokens, lambda: on_prefill(1, 1)))

    @property
    def capabilities(self) -> Capabilities:
        """Its script is its own, and is taken to keep to a schema; it scores as the `engine`."""
        return Capabilities(scores=self.engine is not None, grammar=True, kept=True)

    def check(self, prompt_T: Sequence[int], max_tokens: int) -> None:
        """Any prompt will do, unless it `is_bounded`."""
        if self.is_bounded:
            self.engine.check(prompt_T, max_tokens)

    def grammar(self, schema: dict[str, Any] | None, **_how: Any) -> None:
        """The script says what it says, whatever the schema."""

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
        """As the engine behind it."""
        scores: list[float] = self.engine.score(prompt_T, answer_T)
        return scores

    def _tokens(
        self, said: list[Message], limit: int, on_read: Callable[[], None]
    ) -> Iterator[TokenDelta]:
        on_read()
        opening = len(render([], self.codec))
        ids = render(said, self.codec, prompt=False)[opening:]
        if said[-1].channel == "final":
            ids[-1] = self.codec.special["return"]
        finish = "call" if ids[-1] == self.codec.special["call"] else "return"
        finish = finish if len(ids) <= limit else "length"
        last = min(limit, len(ids)) - 1
        for place, token in enumerate(ids[: last + 1]):
            yield TokenDelta(token, finish if place == last else None)

    @property
    def prompt_texts(self) -> list[str]:
        """The prompts so far as text, special tokens by name."""
        return [self.codec.decode(ids) for ids in self.prompts]


@contextmanager
def scripted(
    session: Any,
    *script: list[Message] | Callable[[str], list[Message]],
    is_bounded: bool = False,
    always: Callable[[str], list[Message]] | None = None,
) -> Iterator[ScriptedEngine]:
    """Within, the session's model answers from `script`; `%%gptoss` works as ever.

    `is_bounded`: within the context of the session's engine. `always`: what answers every prompt
    past the end of the script.
    """
    resident, engine = session.require(), session.engine
    made = ScriptedEngine(engine.codec, script, engine, is_bounded=is_bounded, always=always)
    session.loaded = resident, made
    try:
        yield made
    finally:
        session.loaded = resident, engine
