"""The resident model as a Haystack chat generator; needs haystack-ai."""

import inspect
from collections.abc import Sequence
from typing import Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.neighbours.resident import (
    SAMPLING,
    PendingTurn,
    pieces,
    pieces_async,
    question,
    whole,
    whole_async,
)
from gptoss_magic.neighbours.speech import Piece, Said, SaidCall
from gptoss_magic.neighbours.told import ToldCall, ToldMessages, raw_of
from gptoss_magic.records import ToolSpec
from gptoss_magic.session import current
from gptoss_magic.vocabulary import BASE, check_known

try:
    from haystack import component, default_from_dict, default_to_dict
    from haystack.dataclasses import (
        ChatMessage,
        ComponentInfo,
        ReasoningContent,
        StreamingChunk,
        TextContent,
        ToolCall,
        ToolCallDelta,
        select_streaming_callback,
    )
    from haystack.tools import (
        Tool,
        deserialize_tools_or_toolset_inplace,
        flatten_tools_or_toolsets,
        serialize_tools_or_toolset,
    )
    from haystack.utils import deserialize_callable, serialize_callable
except ImportError as error:
    raise MissingPackage(
        "this generator needs haystack-ai: pip install gptoss_magic[haystack]"
    ) from error

OTHERS = ("model", "stop", "schema", "tool_choice")


@component
class GptOssChatGenerator:
    """`GptOssChatGenerator()` in a pipeline: `messages` in, `replies` (one) out; without a port.

    `model`: as the endpoint names it: 'base', 'base+ADAPTER', 'base@PERSONA' or both; what fits
    this machine is loaded where nothing is. `generation_kwargs`: effort, temperature, top_p,
    top_k, seed, max_tokens, stop, schema (the answer is held to it), tool_choice; a run's own stand
    before them. `streaming_callback` is given chunks as they come. A reply's `reasoning` is its
    thought, `meta["provenance"]` repeats it; one that comes back is read by its exact tokens.
    Raises InputError, ContextOverflow and the rest of `gptoss_magic.errors`.
    """

    def __init__(
        self,
        model: str = BASE,
        streaming_callback: Any = None,
        generation_kwargs: dict[str, Any] | None = None,
        tools: Any = None,
    ) -> None:
        check_known("generation_kwargs", generation_kwargs or {}, (*SAMPLING, *OTHERS))
        self.model, self.streaming_callback, self.tools = model, streaming_callback, tools
        self.generation_kwargs = generation_kwargs or {}

    def warm_up(self) -> None:
        """Load what fits this machine, where nothing is loaded."""
        current().ready()

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        messages: list[ChatMessage] | str,
        streaming_callback: Any = None,
        generation_kwargs: dict[str, Any] | None = None,
        tools: Any = None,
    ) -> dict[str, list[ChatMessage]]:
        """The answer to `messages`."""
        asked = self._question(messages, generation_kwargs, tools)
        tell = select_streaming_callback(self.streaming_callback, streaming_callback, False)
        if tell is None:
            return {"replies": [_reply(whole(asked), asked)]}
        info, said = ComponentInfo.from_component(self), None
        for said in pieces(asked):
            tell(_chunk(said, asked, info))
        assert isinstance(said, Said)
        return {"replies": [_reply(said, asked)]}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self,
        messages: list[ChatMessage] | str,
        streaming_callback: Any = None,
        generation_kwargs: dict[str, Any] | None = None,
        tools: Any = None,
    ) -> dict[str, list[ChatMessage]]:
        """`run` for an event loop."""
        asked = self._question(messages, generation_kwargs, tools)
        tell = select_streaming_callback(self.streaming_callback, streaming_callback, True)
        if tell is None:
            return {"replies": [_reply(await whole_async(asked), asked)]}
        info, said = ComponentInfo.from_component(self), None
        async for said in pieces_async(asked):
            waits = tell(_chunk(said, asked, info))
            if inspect.isawaitable(waits):
                await waits
        assert isinstance(said, Said)
        return {"replies": [_reply(said, asked)]}

    def to_dict(self) -> dict[str, Any]:
        """The settings, as Haystack keeps a pipeline."""
        tell = self.streaming_callback
        made: dict[str, Any] = default_to_dict(
            self,
            model=self.model,
            streaming_callback=serialize_callable(tell) if tell else None,
            generation_kwargs=self.generation_kwargs,
            tools=serialize_tools_or_toolset(self.tools),
        )
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "GptOssChatGenerator":
        """The component of `to_dict`."""
        known = data["init_parameters"]
        deserialize_tools_or_toolset_inplace(known, key="tools")
        if known.get("streaming_callback"):
            known["streaming_callback"] = deserialize_callable(known["streaming_callback"])
        made: GptOssChatGenerator = default_from_dict(cls, data)
        return made

    def _question(
        self, messages: list[ChatMessage] | str, said: dict[str, Any] | None, tools: Any
    ) -> PendingTurn:
        check_known("generation_kwargs", said or {}, (*SAMPLING, *OTHERS))
        known = self.generation_kwargs | (said or {})
        stop = known.get("stop")
        if isinstance(messages, str):
            messages = [ChatMessage.from_user(messages)]
        return question(
            known.get("model") or self.model,
            told_of(messages),
            tools=_specs(self.tools if tools is None else tools),
            choice=known.get("tool_choice"),
            schema=known.get("schema"),
            stop=[stop] if isinstance(stop, str) else stop,
            **{name: known[name] for name in SAMPLING if name in known},
        )


def _specs(tools: Any) -> list[ToolSpec]:
    flat: list[Tool] = flatten_tools_or_toolsets(tools)
    return [ToolSpec(tool.name, tool.description, tool.parameters) for tool in flat]


def told_of(messages: Sequence[ChatMessage]) -> ToldMessages:
    """Haystack's messages as a conversation. Raises InputError for pictures and files."""
    told = ToldMessages()
    for message in messages:
        role = message.role.value
        if role == "tool":
            for result in message.tool_call_results:
                origin = result.origin
                told.result(origin.id or "", _result(result.result), origin.tool_name)
        elif role == "assistant":
            calls = [
                ToldCall(call.id or "", call.tool_name, raw_of(call.arguments))
                for call in message.tool_calls
            ]
            thought = message.reasoning.reasoning_text if message.reasoning else ""
            told.assistant(_text(message), thought, calls, str(message.meta.get("turn_id", "")))
        elif role == "system":
            told.say("developer", _text(message))
        else:
            told.say("user", _text(message))
    return told


def _text(message: ChatMessage) -> str:
    other = [*message.images, *message.files]
    if other:
        kind = type(other[0]).__name__
        raise InputError(f"a message has {kind}: this model reads text alone; leave it out")
    return "".join(message.texts)


def _result(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not all(isinstance(part, TextContent) for part in value):
        raise InputError(
            "a tool's result has a picture or a file: this model reads text alone; leave it out"
        )
    return "".join(part.text for part in value)


def _reply(said: Said, asked: PendingTurn) -> ChatMessage:
    usage = said.turn.answer.usage
    return ChatMessage.from_assistant(
        said.text or None,
        tool_calls=[call for call in map(_call, said.calls) if call is not None],
        reasoning=ReasoningContent(said.thought) if said.thought else None,
        meta={
            "model": asked.model,
            "finish_reason": said.finish,
            "turn_id": asked.turn_id,
            "invalid_tool_calls": [call.raw for call in said.calls if _call(call) is None],
            "provenance": dict(said.turn.answer.provenance),
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
        },
    )


def _call(call: SaidCall) -> ToolCall | None:
    """A call, whose arguments Haystack wants as an object; None where they are none."""
    arguments = call.arguments
    return None if arguments is None else ToolCall(call.name, arguments, call.id)


def _chunk(piece: Piece | Said, asked: PendingTurn, info: ComponentInfo) -> StreamingChunk:
    known: dict[str, Any] = {"meta": {"model": asked.model}, "component_info": info}
    if isinstance(piece, Said):
        return StreamingChunk("", finish_reason=piece.finish, **known)
    known["index"] = piece.block
    if piece.kind == "text":
        return StreamingChunk(piece.text, **known)
    if piece.kind == "thought":
        return StreamingChunk("", reasoning=ReasoningContent(piece.text), **known)
    delta = ToolCallDelta(
        piece.index, piece.name or None, piece.text or None, piece.call_id or None
    )
    return StreamingChunk("", tool_calls=[delta], start=bool(piece.name), **known)
