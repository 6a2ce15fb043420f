"""What stands behind every answer: an `Engine`. The local model's is one, `scripted` another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import Request, RoutingTrace, SamplingSettings, TokenDelta, ToolSpec
    from gptoss_magic.records.provenance import ServerRecord


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do beside answering a prompt of token ids.

    `routing`: say where each token went. `scores`: give log-probabilities of given tokens.
    `grammar`: hold an answer to a schema. `kept`: go on behind tokens of an answer. `batches`:
    answer many prompts at once, as `LocalEngine` does. `parallel`: be asked by several threads at
    once, so that nobody waits for a turn; others are asked one by one. `messages`: it reads
    messages, not token ids; see `MessageEngine`.
    """

    routing: bool = False
    scores: bool = False
    grammar: bool = False
    kept: bool = False
    batches: bool = False
    parallel: bool = False
    messages: bool = False


class Stream(Iterator["TokenDelta"], Protocol):
    """The tokens of one answer as they come; closed, it frees what it holds.

    `num_cached`: prompt tokens that were not computed again. `ended`: how it ended where no token
    said so. `server`: who answered, where that is another machine.
    """

    num_cached: int
    ended: str
    server: ServerRecord | None

    def trace(self, ids_T: Sequence[int]) -> RoutingTrace | None:
        """Where the prompt's and the answer's tokens `ids_T` went, all but the last.

        None where it was not asked for.
        """

    def close(self) -> None:
        """End it; the tokens so far stay in their cache."""


class Engine(Protocol):
    """Answers prompts of token ids. `context`: tokens of prompt and answer, at most."""

    codec: HarmonyCodec
    context: int

    @property
    def capabilities(self) -> Capabilities:
        """What may be asked of it."""

    def check(self, prompt_T: Sequence[int], max_tokens: int) -> None:
        """Raise InputError or ContextOverflow where such a prompt cannot be answered."""

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        *,
        conversation: str = "",
        cold: bool = False,
        routing: bool = False,
        kept: Sequence[int] = (),
        grammar: Any = None,
        num_top: int = 0,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Stream:
        """The tokens that follow `prompt_T` and `kept`; the last has `finish` set.

        `num_top`: so many of the likeliest tokens are told beside each, where `scores` can be.
        """

    def grammar(
        self,
        schema: dict[str, Any] | None,
        *,
        calls: bool = False,
        must_call: Sequence[ToolSpec] = (),
    ) -> Any:
        """What holds an answer to a JSON schema (`calls`: tools may be called before it).

        Or, without a schema, to a call of one of `must_call`, by its parameters. Raises
        InputError for a schema that cannot be enforced, and where the engine has no grammar.
        """

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
        """The log-probability of each token of `answer_T` behind `prompt_T`, in nats."""


class MessageEngine(Engine, Protocol):
    """Where `capabilities.messages`: a server that takes no token ids."""

    def asked(self, request: Request) -> Engine:
        """The engine that answers the messages of `request`, whatever the prompt's ids."""


def engine_for(engine: Engine, request: Request) -> Engine:
    """What answers `request`: the engine itself, unless it reads messages."""
    if not engine.capabilities.messages:
        return engine
    return cast("MessageEngine", engine).asked(request)
