"""An engine that answers from a script, so that every path of a tool run can be tested.

It stands where the real one stands: prompts are rendered, its tokens are parsed and shown as those
of a model would be, only that no model chooses them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.harmony import render
from gptoss_magic.records import Message, TokenDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.harmony import HarmonyCodec


def calling(name: str, raw: str, thought: str = "") -> list[Message]:
    """A turn's messages: a thought and a call with these (raw) arguments."""
    kind, recipient = "<|constrain|>json", f"functions.{name}"
    call = Message("assistant", raw, "commentary", recipient, kind)
    return [*_thinking(thought), call]


def saying(final: str, thought: str = "") -> list[Message]:
    """A turn's messages: a thought and the answer."""
    return [*_thinking(thought), Message("assistant", final, "final")]


def _thinking(thought: str) -> list[Message]:
    return [Message("assistant", thought, "analysis")] if thought else []


class ScriptedEngine:
    """Says one turn of `script` after the other, whatever the prompt; `prompts` keeps their ids.

    A turn is the messages to say (a call ends it, as it does a model's turn), or a function of the
    prompt's text that gives them. Past the end of the script it says that it is over.
    Everything else is the `engine`'s, where one is given.
    """

    def __init__(
        self,
        codec: HarmonyCodec,
        script: Sequence[list[Message] | Callable[[str], list[Message]]],
        engine: Any = None,
    ) -> None:
        self.codec, self.script, self.engine = codec, list(script), engine
        self.prompts: list[list[int]] = []
        self.num_cached = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["engine"], name)

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: Any,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
        **_how: Any,
    ) -> Iterator[TokenDelta]:
        """The tokens of the next turn, at most `settings.max_tokens`.

        Raises ContextOverflow where the engine, if there is one, has no room for it.
        """
        if self.engine is not None:
            self.engine.check(prompt_T, settings.max_tokens)
        self.prompts.append(list(prompt_T))
        number = len(self.prompts) - 1
        turn = self.script[number] if number < len(self.script) else saying("The script is over.")
        said = turn(self.codec.decode(list(prompt_T))) if callable(turn) else turn
        return self._tokens(said, settings.max_tokens, lambda: on_prefill(1, 1))

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

    def trace(self, ids_T: Sequence[int]) -> None:
        """No routing."""

    @property
    def prompt_texts(self) -> list[str]:
        """The prompts so far as text, special tokens by name."""
        return [self.codec.decode(ids) for ids in self.prompts]


@contextmanager
def scripted(
    session: Any, *script: list[Message] | Callable[[str], list[Message]]
) -> Iterator[ScriptedEngine]:
    """Within, the session's model answers from `script`; `%%gptoss` works as ever."""
    resident, engine = session.require()
    made = ScriptedEngine(engine.codec, script, engine)
    session.loaded = resident, made
    try:
        yield made
    finally:
        session.loaded = resident, engine
