"""Servers that take messages alone: `/v1/chat/completions`. Answers are not exact.

The server renders the prompt by its own template, and what it says is written as harmony's tokens
in bytes, so that all that reads an answer reads this one.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.errors import InputError
from gptoss_magic.generation.protocol import Capabilities
from gptoss_magic.serving.remote.answers import CUT, AnswerPart, RemoteStream
from gptoss_magic.serving.remote.chat_messages import chat_messages, chat_tools
from gptoss_magic.serving.remote.chat_tokens import SAID, THOUGHT, ChatWriter
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.serving.remote.server import PLAIN
from gptoss_magic.serving.remote.vllm import cached_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import Request, SamplingSettings, ToolSpec
    from gptoss_magic.records.provenance import ServerRecord
    from gptoss_magic.serving.remote.adapters import RemoteShelf
    from gptoss_magic.serving.remote.answers import Opened
    from gptoss_magic.serving.remote.client import Client
    from gptoss_magic.serving.remote.server import ServerFacts

THOUGHT_KEYS = ("reasoning", "reasoning_content")  # servers have one or the other, some both


class ChatEngine:
    """An engine behind a chat server; see `MessageEngine`.

    `left_out`: keys of a request that this server refuses. `thought_keys`: where it reads earlier
    reasoning.
    """

    path: ClassVar[str] = "/v1/chat/completions"

    def __init__(
        self,
        client: Client,
        codec: HarmonyCodec,
        facts: ServerFacts,
        shelf: RemoteShelf,
    ) -> None:
        self.client, self.codec, self.facts, self.shelf = client, codec, facts, shelf
        is_known = facts.kind != PLAIN  # one that reads more than OpenAI's own keys
        self.takes_top_k, self.thought_keys = is_known, THOUGHT_KEYS if is_known else ()
        self.context = facts.context or 1 << 30
        self.left_out: frozenset[str] = frozenset()
        self.holds_schema = False
        self.request: Request | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(grammar=self.holds_schema, parallel=True, messages=True)

    def asked(self, request: Request) -> ChatEngine:
        """The engine that answers this request's messages."""
        engine = copy.copy(self)
        engine.request = request
        return engine

    def check(self, prompt_T: Sequence[int], max_tokens: int) -> None:  # noqa: ARG002 (bytes are no measure)
        """Raise InputError for what this server cannot be asked."""
        request = self.request
        if request is None or not request.messages:
            raise InputError(f"{self.facts.kind} takes messages, no token ids: ask by a prompt")
        if request.sampling.top_k and not self.takes_top_k:
            raise InputError(f"top-k: {self.facts.kind} takes none: leave --top-k out")

    def grammar(
        self,
        schema: dict[str, Any] | None,
        *,
        calls: bool = False,  # noqa: ARG002 (the server decides)
        must_call: Sequence[ToolSpec] = (),  # noqa: ARG002 (refused)
    ) -> dict[str, Any]:
        """The schema itself. Raises InputError where the server holds no answer to one."""
        if schema is None or not self.holds_schema:
            what = "a schema" if schema else "a call"
            raise InputError(
                f"{self.facts.kind}: it holds no answer to {what}; leave it out, or load a model "
                "in this kernel"
            )
        return schema

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:  # noqa: ARG002
        """Not of messages."""
        raise InputError(
            f"{self.facts.kind} gives no log-probabilities of a text that is given; connect to "
            "vLLM, SGLang or an endpoint of ours"
        )

    def stream(
        self,
        prompt_T: Sequence[int],
        settings: SamplingSettings,
        *,
        conversation: str = "",  # noqa: ARG002 (the server keeps its own caches)
        cold: bool = False,  # noqa: ARG002
        routing: bool = False,  # noqa: ARG002 (refused when the request was settled)
        kept: Sequence[int] = (),  # noqa: ARG002 (refused likewise)
        grammar: dict[str, Any] | None = None,
        num_top: int = 0,  # noqa: ARG002 (a chat's are of other tokens than ours)
        on_prefill: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG002 (silent)
    ) -> RemoteStream:
        """The answer to the messages of the request, in our own tokens."""
        self.check(prompt_T, settings.max_tokens)
        assert self.request is not None
        body = self.body(self.request, settings, grammar)
        sent = {key: value for key, value in body.items() if key not in self.left_out}

        def ask(_said: Sequence[int]) -> Opened:
            answer = self.client.stream(self.path, sent)
            return answer, self.parts(self.events(answer))

        return RemoteStream(self.client, ask, self.codec, self.record(), stop=settings.stop)

    def events(self, answer: Any) -> Iterator[dict[str, Any]]:
        """The JSON objects of a stream."""
        return self.client.events(answer)

    def body(
        self, request: Request, settings: SamplingSettings, schema: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The JSON of one streamed request."""
        body: dict[str, Any] = {
            "model": self.facts.model_beside(self.shelf.beside),
            "messages": chat_messages(request.messages, self.thought_keys),
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "reasoning_effort": request.effort,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if "max_tokens" in self.left_out:
            body["max_completion_tokens"] = settings.max_tokens
        if settings.stop:
            body["stop"] = list(settings.stop)
        if settings.top_k:
            body["top_k"] = settings.top_k
        if request.tools:
            body["tools"] = chat_tools(request)
        if schema is not None:
            named = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def parts(self, events: Iterable[dict[str, Any]]) -> Iterator[AnswerPart]:
        """The answer's text, calls and end. Raises RemoteFault where the stream is cut."""
        writer = ChatWriter(self.codec)
        for event in whole(events, writer):
            if usage := usage_of(event.get("usage")):
                yield AnswerPart(cached=cached_tokens(event["usage"]), usage=usage)
            for choice in (event.get("choices") or [])[:1]:
                said = choice.get("delta") or choice.get("message") or {}
                ids = written(writer, said)
                writer.finish = str(choice.get("finish_reason") or writer.finish)
                if ids:
                    yield AnswerPart(ids)
        if not writer.finish:
            raise RemoteFault(f"{self.client.address.root}: {CUT}", is_passing=True)
        yield ended(writer)

    def record(self) -> ServerRecord:
        """For a provenance: who answers."""
        root, beside = self.client.address.root, self.shelf.beside
        return self.facts.record(root, beside, is_exact=False)


def whole(events: Iterable[dict[str, Any]], writer: ChatWriter) -> Iterator[dict[str, Any]]:
    """The events; a connection that breaks behind the answer's end is no fault of it."""
    try:
        yield from events
    except RemoteFault:
        if not writer.finish:
            raise


def written(writer: ChatWriter, said: dict[str, Any]) -> list[int]:
    """The tokens of one delta, or of a whole message."""
    thought = next((said[key] for key in THOUGHT_KEYS if isinstance(said.get(key), str)), "")
    ids = writer.text(THOUGHT, thought)
    content = said.get("content")
    if isinstance(content, list):  # parts, as some servers send them
        content = "".join(str(one.get("text", "")) for one in content if isinstance(one, dict))
    ids += writer.text(SAID, content if isinstance(content, str) else "")
    for place, piece in enumerate(said.get("tool_calls") or []):
        if isinstance(piece, dict):
            writer.call(piece, place)
    return ids


def ended(writer: ChatWriter) -> AnswerPart:
    """The last part. An answer that was cut off keeps no call of half its arguments."""
    if writer.finish in ("stop", "tool_calls", "function_call", "eos"):
        return AnswerPart(writer.end(), finish=writer.finish)
    return AnswerPart(finish=writer.finish)


def usage_of(usage: Any) -> tuple[int, int] | None:
    """(prompt, completion) tokens by the server's count."""
    if not isinstance(usage, dict):
        return None
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    prompt, completion = counts
    if isinstance(prompt, int) and isinstance(completion, int):
        return prompt, completion
    return None
