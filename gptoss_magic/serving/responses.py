"""POST /v1/responses: the resource and its events, as the Open Responses contract has them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import Turn
from gptoss_magic.serving.logprobs import logprobs_of
from gptoss_magic.turns.url_citations import url_citations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import ChannelDelta, Passage, TokenDelta
    from gptoss_magic.serving.faults import ApiError
    from gptoss_magic.serving.ledger import Served
    from gptoss_magic.serving.output import Output, OutputEvent, OutputItem

    Event = dict[str, Any]


@dataclass
class Resource:
    """The response while it is made. `echo`: the request's settings as they are given back.

    `has_summary`: thoughts stand in `summary` too; `has_logprobs`: texts have those of their
    tokens. `pages`: what the conversation has open in the browser, by cursor.
    """

    served: Served
    echo: dict[str, Any]
    output: Output
    codec: HarmonyCodec
    has_summary: bool = False
    has_logprobs: bool = False
    pages: Mapping[int, Passage] = field(default_factory=dict)
    status: str = "in_progress"
    error: dict[str, str] | None = None
    status_code: int = 200
    usage: dict[str, Any] | None = None
    number: int = field(default=0)  # of the next event

    def body(self) -> dict[str, Any]:
        """The JSON object as it stands."""
        is_cut = self.status == "incomplete"
        is_over = self.status == "completed"
        return {
            "id": self.served.id,
            "object": "response",
            "created_at": int(self.served.created),
            "completed_at": int(time.time()) if is_over else None,
            "status": self.status,
            "error": self.error,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "model": self.served.model,
            "output": [self.item(item, is_over=True) for item in self.output.items],
            "usage": self.usage,
            **self.echo,
        }

    # ---- items ----

    def item(self, item: OutputItem, *, is_over: bool) -> dict[str, Any]:
        """One item of the output; one that begins is empty, whatever came with its first token."""
        kinds = {"reasoning": self._reasoning, "message": self._message, "call": self._call}
        status = "completed" if is_over else "in_progress"
        told = item if is_over else replace(item, text="", tokens=[], ids=())
        if is_over and self.status == "incomplete" and item is self.output.items[-1]:
            status = "incomplete"
        return {"id": item.id, "status": status, **kinds[item.kind](told)}

    def _reasoning(self, item: OutputItem) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": item.text}] if self.has_summary else []
        said = {
            "type": "reasoning",
            "summary": summary if item.text else [],
            "content": [{"type": "reasoning_text", "text": item.text}] if item.text else [],
        }
        return {**said, "encrypted_content": item.sealed} if item.ids else said

    def _message(self, item: OutputItem) -> dict[str, Any]:
        phase = "final_answer" if item.channel == "final" else "commentary"
        content = [self._text_part(item)] if item.text else []
        return {"type": "message", "role": "assistant", "content": content, "phase": phase}

    def _text_part(self, item: OutputItem, *, is_new: bool = False) -> dict[str, Any]:
        logprobs = logprobs_of(item.tokens, self.codec) if self.has_logprobs and not is_new else []
        text = "" if is_new else item.text
        notes = self._annotations(text)
        return {"type": "output_text", "text": text, "annotations": notes, "logprobs": logprobs}

    def _annotations(self, text: str) -> list[dict[str, Any]]:
        """Citations of pages; the text keeps its marks."""
        return [
            {
                "type": "url_citation",
                "start_index": one.start,
                "end_index": one.end,
                "url": one.url,
                "title": one.title,
            }
            for one in url_citations(text, self.pages)
        ]

    def _call(self, item: OutputItem) -> dict[str, Any]:
        tool = item.tool
        assert tool is not None
        space = {"namespace": tool.namespace} if tool.namespace else {}
        named = {"call_id": item.call_id, "name": tool.name, **space}
        if tool.is_custom:
            return {"type": "custom_tool_call", **named, "input": tool.text_of(item.text)}
        return {"type": "function_call", **named, "arguments": item.text}

    # ---- events ----

    def event(self, kind: str, /, **fields: Any) -> Event:
        """One event, with its number."""
        self.number += 1
        return {"type": f"response.{kind}", "sequence_number": self.number - 1, **fields}

    def begin(self) -> Iterator[Event]:
        """The first two events."""
        yield self.event("created", response=self.body())
        yield self.event("in_progress", response=self.body())

    def events(
        self, told: TokenDelta | ChannelDelta | Turn, changes: Sequence[OutputEvent]
    ) -> Iterator[Event]:
        """The events of what came; behind the turn, the last one."""
        for change in changes:
            yield from self._changed(change)
        if isinstance(told, Turn):
            self.end(told)
            yield self.event(self.status, response=self.body())

    def end(self, turn: Turn) -> None:
        """The answer is whole, or was cut."""
        self.status = "incomplete" if self.output.finish == "length" else "completed"
        self.usage = usage_of(turn)

    def fail(self, error: ApiError) -> Event:
        """The last event where something went wrong."""
        self.status, self.status_code = "failed", error.status
        self.error = {"code": error.code or "server_error", "message": error.message}
        return self.event("failed", response=self.body())

    def _changed(self, change: OutputEvent) -> Iterator[Event]:
        item = change.item
        if change.kind == "opened":
            fresh = self.item(item, is_over=False)
            yield self._of(item, "output_item.added", item=fresh)
            if item.kind != "call":
                yield from self._parts(item, "added", is_new=True)
        elif change.kind == "text":
            yield from self._texts(change)
        else:
            yield from self._closed(item)

    def _texts(self, change: OutputEvent) -> Iterator[Event]:
        item, text = change.item, change.text
        if item.kind == "message":
            logprobs = logprobs_of(change.tokens, self.codec) if self.has_logprobs else []
            yield self._in_part(item, "output_text.delta", delta=text, logprobs=logprobs)
        elif item.kind == "reasoning":
            yield self._in_part(item, "reasoning_text.delta", delta=text)
            if self.has_summary:
                yield self._in_summary(item, "reasoning_summary_text.delta", delta=text)
        elif item.tool is not None and not item.tool.is_custom:
            yield self._in_item(item, "function_call_arguments.delta", delta=text)

    def _closed(self, item: OutputItem) -> Iterator[Event]:
        if item.kind == "message":
            for place, note in enumerate(self._annotations(item.text)):
                told = {"annotation_index": place, "annotation": note}
                yield self._in_part(item, "output_text.annotation.added", **told)
            logprobs = logprobs_of(item.tokens, self.codec) if self.has_logprobs else []
            yield self._in_part(item, "output_text.done", text=item.text, logprobs=logprobs)
        elif item.kind == "reasoning":
            yield self._in_part(item, "reasoning_text.done", text=item.text)
            if self.has_summary:
                yield self._in_summary(item, "reasoning_summary_text.done", text=item.text)
        else:
            yield from self._called(item)
        if item.kind != "call":
            yield from self._parts(item, "done", is_new=False)
        yield self._of(item, "output_item.done", item=self.item(item, is_over=True))

    def _called(self, item: OutputItem) -> Iterator[Event]:
        assert item.tool is not None
        if item.tool.is_custom:
            text = item.tool.text_of(item.text)
            yield self._in_item(item, "custom_tool_call_input.delta", delta=text)
            yield self._in_item(item, "custom_tool_call_input.done", input=text)
            return
        done = {"name": item.tool.name, "arguments": item.text}
        yield self._in_item(item, "function_call_arguments.done", **done)

    def _parts(self, item: OutputItem, what: str, *, is_new: bool) -> Iterator[Event]:
        if item.kind == "message":
            yield self._in_part(
                item, f"content_part.{what}", part=self._text_part(item, is_new=is_new)
            )
            return
        text = "" if is_new else item.text
        part = {"type": "reasoning_text", "text": text}
        yield self._in_part(item, f"content_part.{what}", part=part)
        if self.has_summary:
            part = {"type": "summary_text", "text": text}
            yield self._in_summary(item, f"reasoning_summary_part.{what}", part=part)

    def _of(self, item: OutputItem, kind: str, /, **fields: Any) -> Event:
        return self.event(kind, output_index=item.index, **fields)

    def _in_item(self, item: OutputItem, kind: str, /, **fields: Any) -> Event:
        return self._of(item, kind, item_id=item.id, **fields)

    def _in_part(self, item: OutputItem, kind: str, /, **fields: Any) -> Event:
        return self._in_item(item, kind, content_index=0, **fields)

    def _in_summary(self, item: OutputItem, kind: str, /, **fields: Any) -> Event:
        return self._in_item(item, kind, summary_index=0, **fields)


def usage_of(turn: Turn) -> dict[str, Any]:
    """Tokens of the prompt and of the answer."""
    usage = turn.answer.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.analysis_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
