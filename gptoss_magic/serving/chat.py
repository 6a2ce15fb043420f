"""POST /v1/chat/completions: requests, whole answers and chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import Turn
from gptoss_magic.serving.chat_messages import tell
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.logprobs import logprobs_of
from gptoss_magic.serving.offers import read_offers
from gptoss_magic.serving.question import (
    MOST_TOP,
    Asking,
    effort_of,
    read_model,
    refuse_samplers,
    sampling_of,
    schema_of,
)
from gptoss_magic.serving.told import Told
from gptoss_magic.turns.url_citations import url_citations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import ChannelDelta, Message, Passage, TokenDelta
    from gptoss_magic.serving.body import Body
    from gptoss_magic.serving.ledger import Ledger, Served
    from gptoss_magic.serving.output import Output, OutputEvent, OutputItem

MOST_CHOICES = 16
FINISHES = {"length": "length", "call": "tool_calls"}


@dataclass(frozen=True)
class ChatRequest:
    """A body, read. `n`: answers that are asked for; `stop`: strings that end one."""

    asking: Asking
    messages: tuple[Message, ...]
    n: int
    stop: tuple[str, ...]
    is_stream: bool
    has_usage: bool
    has_logprobs: bool
    warnings: tuple[str, ...]


def read_chat(body: Body, ledger: Ledger) -> ChatRequest:
    """What the body asks. Raises ApiError, NotLoaded."""
    name = read_model(body)
    _refuse(body)
    offers = read_offers(_with_old_functions(body), is_chat=True)
    told = Told(ledger.exact)
    tell(body, told)
    if not told.messages and not told.instructions:
        raise body.fault("messages", "a list of messages", body.raw("messages"))
    options = body.inner("stream_options")
    has_logprobs = body.flag("logprobs", default=False)
    messages = tuple(told.messages)
    return ChatRequest(
        asking=Asking(
            name=name,
            settings={
                **sampling_of(body),
                "effort": effort_of(body, "reasoning_effort")
                or effort_of(_reasoning(body), "effort"),
                "schema": schema_of(body.inner("response_format")),
                "calls": bool(offers.specs),
            },
            offers=offers,
            instructions="\n\n".join(told.instructions),
            max_tokens=body.whole("max_completion_tokens", 1) or body.whole("max_tokens", 1),
            num_top=(body.whole("top_logprobs", 0, MOST_TOP) or 0) if has_logprobs else 0,
            root=ledger.root_of(messages),
        ),
        messages=messages,
        n=body.whole("n", 1, MOST_CHOICES) or 1,
        stop=tuple(filter(None, body.texts("stop"))),
        is_stream=body.flag("stream", default=False),
        has_usage=bool(options and options.flag("include_usage", default=False)),
        has_logprobs=has_logprobs,
        warnings=offers.warnings,
    )


def _reasoning(body: Body) -> Body | None:
    value = body.raw("reasoning")
    return body.inner("reasoning") if isinstance(value, dict) else None


def _refuse(body: Body) -> None:
    """Raise ApiError for what would change the answer and is not there."""
    refuse_samplers(body)
    if body.whole("top_logprobs", 0, MOST_TOP) and not body.flag("logprobs", default=False):
        raise ApiError(
            400,
            "top_logprobs means something beside logprobs only: give logprobs true",
            param="logprobs",
        )
    bias = body.inner("logit_bias")
    if bias and bias.value:
        raise ApiError(400, "logit_bias is not offered here: leave it out", param="logit_bias")
    kinds = body.texts("modalities")
    if any(kind != "text" for kind in kinds):
        raise ApiError(
            400, "modalities: this model says text alone: leave it out", param="modalities"
        )


def _with_old_functions(body: Body) -> Body:
    """`functions` and `function_call`, which came before `tools`, as those."""
    functions = body.items("functions")
    if not functions or "tools" in body:
        return body
    tools = [{"type": "function", "function": one} for one in functions]
    choice = body.raw("function_call")
    return type(body)({**body.value, "tools": tools, "tool_choice": choice}, body.path)


class Choice:
    """One answer as a choice: its message, or its chunks.

    `pages`: what the conversation has open in the browser, by cursor.
    """

    def __init__(
        self,
        index: int,
        output: Output,
        codec: HarmonyCodec,
        *,
        has_logprobs: bool,
        pages: Mapping[int, Passage],
    ) -> None:
        self.index, self.output, self.codec = index, output, codec
        self.has_logprobs, self.pages = has_logprobs, pages

    def chunks(
        self, told: TokenDelta | ChannelDelta | Turn, changes: Sequence[OutputEvent]
    ) -> Iterator[dict[str, Any]]:
        """What came, as choices of chunks; the last has its `finish_reason`."""
        for change in changes:
            yield from self._chunk(change)
        if isinstance(told, Turn):
            if notes := self._annotations():
                yield self._delta({"annotations": notes})
            yield self._delta({}, finish=self.finish)

    def opening(self) -> dict[str, Any]:
        """The first chunk's choice."""
        return self._delta({"role": "assistant", "content": ""})

    def whole(self) -> dict[str, Any]:
        """The choice of an answer that is over."""
        thought = self.output.text("reasoning") or None
        calls = [self._call(item) for item in self.output.calls]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.output.text("message") or (None if calls else ""),
            "refusal": None,
            "annotations": self._annotations(),
            "reasoning": thought,
            "reasoning_content": thought,
        }
        if calls:
            message["tool_calls"] = calls
        tokens = [t for i in self.output.items if i.kind == "message" for t in i.tokens]
        return {
            "index": self.index,
            "message": message,
            "logprobs": self._logprobs(tokens),
            "finish_reason": self.finish,
        }

    def _annotations(self) -> list[dict[str, Any]]:
        """Citations of pages, by places in the whole content, which keeps its marks."""
        return [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": one.start,
                    "end_index": one.end,
                    "url": one.url,
                    "title": one.title,
                },
            }
            for one in url_citations(self.output.text("message"), self.pages)
        ]

    @property
    def finish(self) -> str:
        """Why it ended, in OpenAI's words."""
        if self.output.calls and self.output.finish != "length":
            return "tool_calls"
        return FINISHES.get(self.output.finish, "stop")

    def _chunk(self, event: OutputEvent) -> Iterator[dict[str, Any]]:
        item = event.item
        if event.kind == "opened" and item.kind == "call":
            yield self._delta(
                {"tool_calls": [{**self._call(item, is_new=True), "index": self._number(item)}]}
            )
        elif event.kind == "opened" and self._is_later_text(item):
            yield self._delta({"content": "\n\n"} if item.kind == "message" else _thought("\n\n"))
        elif event.kind == "text" and item.kind == "message":
            yield self._delta({"content": event.text}, tokens=event.tokens)
        elif event.kind == "text" and item.kind == "reasoning":
            yield self._delta(_thought(event.text))
        elif event.kind == "text" and not (item.tool and item.tool.is_custom):
            part = {"index": self._number(item), "function": {"arguments": event.text}}
            yield self._delta({"tool_calls": [part]})
        elif event.kind == "closed" and item.tool is not None and item.tool.is_custom:
            part = {"index": self._number(item), "custom": {"input": item.tool.text_of(item.text)}}
            yield self._delta({"tool_calls": [part]})

    def _is_later_text(self, item: OutputItem) -> bool:
        return any(one.kind == item.kind and one.text for one in self.output.items[: item.index])

    def _number(self, item: OutputItem) -> int:
        return self.output.calls.index(item)

    def _call(self, item: OutputItem, *, is_new: bool = False) -> dict[str, Any]:
        tool, text = item.tool, "" if is_new else item.text
        assert tool is not None
        if tool.is_custom:
            said = {"name": tool.name, "input": tool.text_of(text) if text else ""}
            return {"id": item.call_id, "type": "custom", "custom": said}
        said = {"name": tool.name, "arguments": text}
        return {"id": item.call_id, "type": "function", "function": said}

    def _delta(
        self, delta: dict[str, Any], *, finish: str | None = None, tokens: Sequence[TokenDelta] = ()
    ) -> dict[str, Any]:
        return {
            "index": self.index,
            "delta": delta,
            "logprobs": self._logprobs(tokens) if tokens else None,
            "finish_reason": finish,
        }

    def _logprobs(self, tokens: Sequence[TokenDelta]) -> dict[str, Any] | None:
        if not self.has_logprobs:
            return None
        return {"content": logprobs_of(tokens, self.codec), "refusal": None}


def _thought(text: str) -> dict[str, str]:
    """Both names that readers know: each reads one of them."""
    return {"reasoning": text, "reasoning_content": text}


def envelope(served: Served, *, is_chunk: bool) -> dict[str, Any]:
    """What every answer and every chunk begins with."""
    return {
        "id": served.id,
        "object": "chat.completion.chunk" if is_chunk else "chat.completion",
        "created": int(served.created),
        "model": served.model,
        "service_tier": "default",
        "system_fingerprint": "gptoss_magic",
    }


def usage_of(turns: Sequence[Turn]) -> dict[str, Any]:
    """Tokens of the prompt, and of all answers."""
    said = sum(turn.answer.usage.completion_tokens for turn in turns)
    thought = sum(turn.answer.usage.analysis_tokens for turn in turns)
    first = turns[0].answer.usage
    return {
        "prompt_tokens": first.prompt_tokens,
        "completion_tokens": said,
        "total_tokens": first.prompt_tokens + said,
        "prompt_tokens_details": {"cached_tokens": first.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": 0},
    }
