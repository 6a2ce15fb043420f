"""Servers that read token ids and give them back: our own rendering is kept, answers are exact.

A kind of server is a subclass that says how it is asked, and how its answers are read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.errors import ContextOverflow, InputError
from gptoss_magic.generation.protocol import Capabilities
from gptoss_magic.harmony import HarmonyParser
from gptoss_magic.harmony.parse import parsed
from gptoss_magic.serving.remote.answers import AnswerPart, RemoteStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import SamplingSettings, ToolSpec
    from gptoss_magic.records.provenance import ServerRecord
    from gptoss_magic.serving.remote.adapters import RemoteShelf
    from gptoss_magic.serving.remote.answers import Opened
    from gptoss_magic.serving.remote.client import Client
    from gptoss_magic.serving.remote.server import ServerFacts


@dataclass(frozen=True)
class TokenAsk:
    """What a server is asked: to go on behind `prompt`, at most `max_tokens` new tokens.

    `adapters`: names that stand beside the model. `form`: what the rest is held to, all of it or,
    by a server that knows harmony, its `final`.
    """

    prompt: list[int]
    settings: SamplingSettings
    max_tokens: int
    stop_ids: list[int]
    adapters: tuple[str, ...] = ()
    form: FinalSchema | None = None


@dataclass(frozen=True)
class FinalSchema:
    """A JSON schema that `final` is held to; everything before it is free.

    `calls`: tools may be called before it.
    """

    schema: dict[str, Any]
    calls: bool = False


class TokenEngine(ABC):
    """An engine behind a server that takes token ids; see `Engine`.

    `scores`: it gives log-probabilities of a prompt. `knows_harmony`: it holds `final` alone to a
    schema by itself; from others that is asked for once `final` has begun.
    """

    scores: ClassVar[bool] = True
    knows_harmony: ClassVar[bool] = False
    path: ClassVar[str]

    def __init__(
        self, client: Client, codec: HarmonyCodec, facts: ServerFacts, shelf: RemoteShelf
    ) -> None:
        self.client, self.codec, self.facts, self.shelf = client, codec, facts, shelf
        self.context = facts.context or 1 << 30
        self.holds_schema = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(scores=self.scores, grammar=self.holds_schema, kept=True, parallel=True)

    @abstractmethod
    def body(self, ask: TokenAsk) -> dict[str, Any]:
        """The JSON of one streamed request."""

    @abstractmethod
    def parts(self, events: Iterable[dict[str, Any]]) -> Iterator[AnswerPart]:
        """What the events of its stream say."""

    @abstractmethod
    def tokens_of(self, text: str) -> list[int]:
        """The server's token ids of `text`, in which names of special tokens are those tokens."""

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
        """The log-probability of each token of `answer_T` behind `prompt_T`, in nats."""
        raise InputError(
            f"{self.facts.kind} gives no log-probabilities of a text that is given; connect to "
            "vLLM, SGLang or an endpoint of ours"
        )

    def check(self, prompt_T: Sequence[int], max_tokens: int) -> None:
        """Raise InputError or ContextOverflow where such a prompt cannot be answered."""
        if not prompt_T:
            raise InputError("the prompt has no tokens: give some text")
        if len(prompt_T) + max_tokens > self.context:
            raise ContextOverflow(
                f"{len(prompt_T)} prompt tokens + up to {max_tokens} new ones exceed the server's "
                f"context of {self.context}: lower --max-tokens, or shorten the prompt"
            )

    def grammar(
        self,
        schema: dict[str, Any] | None,
        *,
        calls: bool = False,
        must_call: Sequence[ToolSpec] = (),  # noqa: ARG002 (refused)
    ) -> FinalSchema:
        """What holds `final` to a JSON schema. Raises InputError where the server cannot."""
        if schema is None or not self.holds_schema:
            what = "a schema" if schema else "a call"
            raise InputError(
                f"{self.facts.kind}: it holds no answer to {what}; leave it out, or load a model "
                "in this kernel"
            )
        return FinalSchema(schema, calls)

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        *,
        conversation: str = "",  # noqa: ARG002 (the server keeps its own caches)
        cold: bool = False,  # noqa: ARG002 (which nobody can tell it not to use)
        routing: bool = False,  # noqa: ARG002 (refused when the request was settled)
        kept: Sequence[int] = (),
        grammar: FinalSchema | None = None,
        num_top: int = 0,  # noqa: ARG002 (of the token that was said alone)
        on_prefill: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG002 (silent)
    ) -> RemoteStream:
        """The tokens that follow `prompt_T` and `kept`; see `Engine.stream`.

        With a schema the answer is asked for in two parts: freely up to `final`, then held to it.
        """
        self.check([*prompt_T, *kept], settings.max_tokens)
        adapters, place = self.shelf.beside, _Place(self.codec, kept)
        is_apart = grammar is not None and not self.knows_harmony
        base = TokenAsk([], settings, 0, sorted(self.codec.stop_ids), adapters)

        def ask(said: Sequence[int]) -> Opened:
            asked = replace(
                base,
                prompt=[*prompt_T, *kept, *said],
                max_tokens=settings.max_tokens - len(said),
                form=grammar if place.is_final or not is_apart else None,
            )
            answer = self.client.stream(self.path, self.body(asked))
            parts = self.parts(self.client.events(answer))
            return answer, self._closed(parts, [*kept], said)

        return RemoteStream(
            self.client,
            ask,
            self.codec,
            self.record(),
            stop=settings.stop,
            max_tokens=settings.max_tokens,
            is_next=place.enters_final if is_apart else lambda token: False,
        )

    def record(self) -> ServerRecord:
        """For a provenance: who answers."""
        root, beside = self.client.address.root, self.shelf.beside
        return self.facts.record(root, beside, is_exact=True)

    def _closed(
        self, parts: Iterator[AnswerPart], kept: Sequence[int], said: Sequence[int]
    ) -> Iterator[AnswerPart]:
        """The parts; a server that keeps the token that ended the answer to itself is completed.

        `said` grows while the parts are read.
        """
        for part in parts:
            if part.finish == "stop" and not self.codec.stop_ids & {*part.ids, *said[-1:]}:
                drafts = parsed([*kept, *said, *part.ids], self.codec).drafts
                is_call = bool(drafts) and bool(drafts[-1].header.recipient)
                last = self.codec.special["call" if is_call else "return"]
                yield replace(part, ids=[*part.ids, last])
            else:
                yield part


class _Place:
    """Where in its answer a stream is. `is_final`: within the text of `final`."""

    def __init__(self, codec: HarmonyCodec, kept: Sequence[int]) -> None:
        self.parser, self.special, self.is_final = HarmonyParser(codec), codec.special, False
        for token in kept:
            self.enters_final(token)

    def enters_final(self, token: int) -> bool:
        """Read one token; True where the text of `final` begins behind it."""
        self.parser.feed(token)
        if token in self.special.values():
            drafts = self.parser.drafts
            is_text = token == self.special["message"]
            self.is_final = is_text and bool(drafts) and drafts[-1].header.channel == "final"
            return self.is_final
        return False
