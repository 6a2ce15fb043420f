"""ollama: `/api/chat`, whose stream is a JSON object a line. It gives no token ids."""

from __future__ import annotations

from http.client import HTTPException
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.serving.remote.answers import CUT, AnswerPart
from gptoss_magic.serving.remote.chat_engine import ChatEngine, ended
from gptoss_magic.serving.remote.chat_messages import chat_messages, chat_tools
from gptoss_magic.serving.remote.chat_tokens import SAID, THOUGHT, ChatWriter
from gptoss_magic.serving.remote.events import lines_of
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.textfiles import json_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gptoss_magic.records import Request, SamplingSettings
    from gptoss_magic.serving.remote.client import OpenAnswer


class OllamaEngine(ChatEngine):
    """`think` is the effort's name, for models such as gpt-oss; a schema is its `format`."""

    path: ClassVar[str] = "/api/chat"

    def body(
        self, request: Request, settings: SamplingSettings, schema: dict[str, Any] | None
    ) -> dict[str, Any]:
        options: dict[str, Any] = {
            "num_predict": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
            "seed": settings.seed % (1 << 31),
        }
        if settings.stop:
            options["stop"] = list(settings.stop)
        body: dict[str, Any] = {
            "model": self.facts.model,
            "messages": [_message(one) for one in chat_messages(request.messages, ("thinking",))],
            "think": request.effort,
            "stream": True,
            "options": options,
        }
        if request.tools:
            body["tools"] = chat_tools(request)
        if schema is not None:
            body["format"] = schema
        return body

    def events(self, answer: OpenAnswer) -> Iterator[dict[str, Any]]:
        try:
            for line in lines_of(answer.chunks()):
                if not line.strip():
                    continue
                value = self.client.read_object(line)
                if value.get("error"):
                    raise self.client.said(value)
                yield value
        except (OSError, HTTPException, ValueError) as error:
            raise self.client.broken(error) from error

    def parts(self, events: Iterable[dict[str, Any]]) -> Iterator[AnswerPart]:
        writer, num_calls = ChatWriter(self.codec), 0
        for event in events:
            said = event.get("message") or {}
            ids = writer.text(THOUGHT, str(said.get("thinking") or ""))
            ids += writer.text(SAID, str(said.get("content") or ""))
            for piece in said.get("tool_calls") or []:  # each is whole
                writer.call(piece, num_calls)
                num_calls += 1
            if ids:
                yield AnswerPart(ids)
            if event.get("done") is True:
                counts = event.get("prompt_eval_count"), event.get("eval_count")
                if all(isinstance(count, int) for count in counts):
                    yield AnswerPart(usage=counts)  # type: ignore[arg-type]
                writer.finish = str(event.get("done_reason") or "stop")
                yield ended(writer)
                return
        raise RemoteFault(f"{self.client.address.root}: {CUT}", is_passing=True)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A chat message as ollama has it: arguments are objects, a result needs no call's id."""
    said = {key: value for key, value in message.items() if key != "tool_call_id"}
    if said.get("content") is None:
        said["content"] = ""
    for call in said.get("tool_calls") or []:
        function = call["function"]
        function["arguments"] = json_object(function["arguments"])
    return said
