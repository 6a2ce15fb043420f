"""The resident model as a LangChain chat model; needs langchain-core."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.neighbours.langchain_messages import NOT_JSON, told_of
from gptoss_magic.neighbours.langchain_parsers import parser_of
from gptoss_magic.neighbours.resident import (
    SAMPLING,
    PendingTurn,
    form_in,
    pieces,
    pieces_async,
    question,
    spec_of,
    whole,
    whole_async,
)
from gptoss_magic.neighbours.speech import Piece, Said, SaidCall, WholeCalls
from gptoss_magic.session import current
from gptoss_magic.vocabulary import BASE, check_known

try:
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        InvalidToolCall,
        ToolCall,
        UsageMetadata,
    )
    from langchain_core.messages.tool import tool_call_chunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
    from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
except ImportError as error:
    raise MissingPackage(
        "this chat model needs langchain-core: pip install gptoss_magic[langchain]"
    ) from error

METHODS = ("json_schema", "function_calling", "json_mode")
OTHERS = ("model", "tools", "tool_choice", "schema", "response_format", "reasoning_effort")
UNHEARD = ("strict", "parallel_tool_calls", "stream", "stream_usage")  # of other chat models


class GptOssChat(BaseChatModel):
    """`GptOssChat().invoke("…")`: the model of this process, without a port.

    `model`: as the endpoint names it: 'base', 'base+ADAPTER', 'base@PERSONA' or both; 'base' is
    what is loaded, and what fits this machine is loaded where nothing is. `effort`: low, medium
    or high. `temperature`, `top_p`, `top_k`, `seed`, `max_tokens`: None leaves them to the model,
    its persona and chance. `stop`: strings that end an answer, not a thought. A call may say any of
    them otherwise. Thoughts are content blocks of type 'reasoning'; a message that comes back in a
    later call is read by its exact tokens; `response_metadata["provenance"]` repeats the answer.
    Raises InputError, ContextOverflow and the rest of `gptoss_magic.errors`.
    """

    model: str = BASE
    effort: Literal["low", "medium", "high"] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None

    model_config = {"extra": "forbid"}  # noqa: RUF012 (pydantic's)

    @property
    def _llm_type(self) -> str:
        return "gptoss_magic"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "stop", *SAMPLING)
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop, **kwargs)
        return LangSmithParams(**{**params, "ls_provider": "gptoss_magic"})

    def get_token_ids(self, text: str) -> list[int]:
        """The model's own tokens of a text."""
        return current().ready().codec.encode(text)

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """The model with tools that it may call.

        `tool_choice`: 'auto', 'none', 'any' or 'required' (one of them), or the name of the one
        that it must call; its grammar holds it to that.
        """
        made = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=made, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        include_raw: bool = False,
        method: str = "json_schema",
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """Answers of a schema: a pydantic class, a TypedDict or a JSON schema.

        `method`: 'json_schema' holds the answer to it, 'function_calling' asks for a call,
        'json_mode' for any JSON object. `include_raw`: the message and what went wrong as well.
        Raises InputError.
        """
        check_known("with_structured_output: method", [method], METHODS)
        check_known("with_structured_output: option", kwargs, ("strict",))
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw)
        if schema is None and method == "json_schema":
            raise InputError("with_structured_output: give a schema, or method='json_mode'")
        shape = {"type": "object"} if method == "json_mode" else convert_to_json_schema(schema)
        known = {"kwargs": {"method": method}, "schema": schema}
        model = self.bind(schema=shape, ls_structured_output_format=known)
        return _parsed(model, parser_of(schema), include_raw=include_raw)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._question(messages, stop, kwargs)
        return _result(whole(asked), asked)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._question(messages, stop, kwargs)
        return _result(await whole_async(asked), asked)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        asked = self._question(messages, stop, kwargs)
        calls = WholeCalls()
        for piece in pieces(asked):
            for chunk in _chunks(calls.take(piece), asked):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = self._question(messages, stop, kwargs)
        calls = WholeCalls()
        async for piece in pieces_async(asked):
            for chunk in _chunks(calls.take(piece), asked):
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _question(
        self, messages: list[BaseMessage], stop: list[str] | None, said: dict[str, Any]
    ) -> PendingTurn:
        """What the model is asked; the call's settings stand before the model's own."""
        check_known("GptOssChat: option", said, (*SAMPLING, *OTHERS, *UNHEARD))
        own = {name: getattr(self, name) for name in SAMPLING}
        asked = {name: said[name] for name in SAMPLING if said.get(name) is not None}
        if said.get("reasoning_effort"):
            asked["effort"] = said["reasoning_effort"]
        return question(
            said.get("model") or self.model,
            told_of(messages),
            tools=[spec_of(convert_to_openai_tool(tool)) for tool in said.get("tools") or ()],
            choice=said.get("tool_choice"),
            schema=said.get("schema") or form_in(said.get("response_format")),
            stop=self.stop if stop is None else stop,
            **(own | asked),
        )


def _parsed(
    model: Runnable[Any, Any], parser: Runnable[Any, Any], *, include_raw: bool
) -> Runnable[Any, Any]:
    """The model's answers read by `parser`, and beside them, where wanted, what they were."""
    if not include_raw:
        return model | parser
    read: Callable[[Any], Any] = itemgetter("raw")
    good = RunnablePassthrough.assign(parsed=read | parser, parsing_error=lambda _: None)
    bad = RunnablePassthrough.assign(parsed=lambda _: None)
    raw: Runnable[Any, Any] = RunnableMap(raw=model)
    both: Runnable[Any, Any] = good.with_fallbacks([bad], exception_key="parsing_error")
    return raw | both


def _result(said: Said, asked: PendingTurn) -> ChatResult:
    calls, broken = _calls(said)
    message = AIMessage(
        said.text,
        id=asked.turn_id,
        tool_calls=calls,
        invalid_tool_calls=broken,
        additional_kwargs=_thought(said.thought),
        response_metadata=_metadata(said, asked),
        usage_metadata=_usage(said),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunks(told: Sequence[Piece | Said], asked: PendingTurn) -> list[ChatGenerationChunk]:
    return [_chunk(piece, asked) for piece in told]


def _chunk(piece: Piece | Said, asked: PendingTurn) -> ChatGenerationChunk:
    if isinstance(piece, Said):
        message = AIMessageChunk(
            content="",
            id=asked.turn_id,
            response_metadata=_metadata(piece, asked),
            usage_metadata=_usage(piece),
            chunk_position="last",
        )
    elif piece.kind == "call":
        is_whole = SaidCall(piece.call_id, piece.name, piece.text).arguments is not None
        args = piece.text if is_whole else NOT_JSON + piece.text
        part = tool_call_chunk(name=piece.name, args=args, id=piece.call_id, index=piece.block)
        message = AIMessageChunk(content="", id=asked.turn_id, tool_call_chunks=[part])
    elif piece.kind == "thought":
        message = AIMessageChunk(
            content="", id=asked.turn_id, additional_kwargs=_thought(piece.text)
        )
    else:
        message = AIMessageChunk(content=piece.text, id=asked.turn_id)
    return ChatGenerationChunk(message=message)


def _thought(text: str) -> dict[str, str]:
    """As LangChain knows it: `content_blocks` has it as a block of type 'reasoning'."""
    return {"reasoning_content": text} if text else {}


def _calls(said: Said) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Calls whose arguments are an object, and all others."""
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for call in said.calls:
        if call.arguments is not None:
            calls.append(
                ToolCall(name=call.name, args=call.arguments, id=call.id, type="tool_call")
            )
            continue
        wrong = "the arguments are no JSON object"
        broken.append(
            InvalidToolCall(
                name=call.name, args=call.raw, id=call.id, error=wrong, type="invalid_tool_call"
            )
        )
    return calls, broken


def _metadata(said: Said, asked: PendingTurn) -> dict[str, Any]:
    return {
        "model_name": asked.model,
        "model_provider": "gptoss_magic",
        "finish_reason": said.finish,
        "provenance": dict(said.turn.answer.provenance),
    }


def _usage(said: Said) -> UsageMetadata:
    usage = said.turn.answer.usage
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        input_token_details={"cache_read": usage.cached_tokens},
        output_token_details={"reasoning": usage.analysis_tokens},
    )
