"""The resident model as a LlamaIndex LLM; needs llama-index-core."""

from collections.abc import Sequence
from typing import Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.neighbours.resident import (
    SAMPLING,
    PendingTurn,
    pieces,
    pieces_async,
    question,
    spec_of,
    whole,
    whole_async,
)
from gptoss_magic.neighbours.speech import Piece, Said, SaidCall
from gptoss_magic.neighbours.told import ToldCall, ToldMessages, raw_of
from gptoss_magic.session import current
from gptoss_magic.vocabulary import BASE, check_known

try:
    from llama_index.core.base.llms.generic_utils import (
        achat_to_completion_decorator,
        astream_chat_to_completion_decorator,
        chat_to_completion_decorator,
        stream_chat_to_completion_decorator,
    )
    from llama_index.core.base.llms.types import (
        ChatMessage,
        ChatResponse,
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponse,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
        LLMMetadata,
        TextBlock,
        ThinkingBlock,
        ToolCallBlock,
    )
    from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.llms.llm import ToolSelection
except ImportError as error:
    raise MissingPackage(
        "this LLM needs llama-index-core: pip install gptoss_magic[llama-index]"
    ) from error

TURN = "gptoss_turn"  # in a message's additional_kwargs: whose tokens it has
OTHERS = ("model", "tools", "tool_choice", "schema", "stop", "formatted")


class GptOssLLM(FunctionCallingLLM):
    """`GptOssLLM().complete("…")`: the model of this process, without a port.

    `model`: as the endpoint names it: 'base', 'base+ADAPTER', 'base@PERSONA' or both; what fits
    this machine is loaded where nothing is. `effort`: low, medium or high. `temperature`, `top_p`,
    `top_k`, `seed`, `max_tokens`: None leaves them to the model, its persona and chance. `stop`:
    strings that end an answer, not a thought. A call may say any of them otherwise, and give a
    `schema` that the answer is held to. Thoughts are thinking blocks; a message that comes back is
    read by its exact tokens; `raw["provenance"]` repeats the answer.
    Raises InputError, ContextOverflow and the rest of `gptoss_magic.errors`.
    """

    model: str = BASE
    effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex keeps it."""
        return "GptOssLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The context and what it can do; the model is loaded where none is."""
        return LLMMetadata(
            context_window=current().ready().engine.context,
            num_output=self.max_tokens or -1,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.model,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The whole answer."""
        asked = self._question(messages, kwargs)
        return _response(whole(asked), asked)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat` for an event loop."""
        asked = self._question(messages, kwargs)
        return _response(await whole_async(asked), asked)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer so far, again and again, with what is new as `delta`."""
        asked = self._question(messages, kwargs)

        def told() -> ChatResponseGen:
            so_far = _SoFar(asked)
            for piece in pieces(asked):
                yield so_far.response(piece)

        return told()

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """`stream_chat` for an event loop."""
        asked = self._question(messages, kwargs)

        async def told() -> ChatResponseAsyncGen:
            so_far = _SoFar(asked)
            async for piece in pieces_async(asked):
                yield so_far.response(piece)

        return told()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """`chat` with one message of the user."""
        made: CompletionResponse = chat_to_completion_decorator(self.chat)(prompt, **kwargs)
        return made

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """`complete` for an event loop."""
        asked = achat_to_completion_decorator(self.achat)
        made: CompletionResponse = await asked(prompt, **kwargs)
        return made

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """`stream_chat` with one message of the user."""
        return stream_chat_to_completion_decorator(self.stream_chat)(prompt, **kwargs)

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """`stream_complete` for an event loop."""
        return await astream_chat_to_completion_decorator(self.astream_chat)(prompt, **kwargs)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls of an answer.

        Raises InputError where there is none and one was wanted, and for one that was cut off.
        """
        blocks = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)]
        if not blocks and error_on_no_tool_call:
            raise InputError("the model called no tool: give tool_required=True, or ask for one")
        return [_selection(block) for block in blocks]

    def _prepare_chat_with_tools(  # noqa: PLR0917 (their signature)
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if isinstance(user_msg, str):
            user_msg = ChatMessage(role="user", content=user_msg)
        messages = [*(chat_history or ()), *([user_msg] if user_msg else ())]
        made = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
        choice = "required" if tool_required else None
        return {"messages": messages, "tools": made, "tool_choice": choice, **kwargs}

    def _question(self, messages: Sequence[ChatMessage], said: dict[str, Any]) -> PendingTurn:
        check_known("GptOssLLM: option", said, (*SAMPLING, *OTHERS))
        own = {name: getattr(self, name) for name in SAMPLING}
        asked = {name: said[name] for name in SAMPLING if said.get(name) is not None}
        return question(
            said.get("model") or self.model,
            told_of(messages),
            tools=[spec_of(tool) for tool in said.get("tools") or ()],
            choice=said.get("tool_choice"),
            schema=said.get("schema"),
            stop=said.get("stop") or self.stop,
            **(own | asked),
        )


def told_of(messages: Sequence[ChatMessage]) -> ToldMessages:
    """LlamaIndex's messages as a conversation. Raises InputError for pictures and sounds."""
    told = ToldMessages()
    for message in messages:
        role, text = message.role.value, _text(message)
        known = message.additional_kwargs
        if role == "assistant":
            told.assistant(text, _thought(message), _calls(message), str(known.get(TURN, "")))
        elif role in ("tool", "function"):
            told.result(str(known.get("tool_call_id", "")), text, str(known.get("name", "")))
        elif role in ("system", "developer"):
            told.say("developer", text)
        elif role == "user":
            told.say("user", text)
        else:
            raise InputError(f"a message of role {role!r}: give system, user, assistant or tool")
    return told


def _text(message: ChatMessage) -> str:
    parts = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            parts.append(block.text)
        elif not isinstance(block, ThinkingBlock | ToolCallBlock):
            kind = type(block).__name__
            raise InputError(f"a message has a {kind}: this model reads text alone; leave it out")
    return "".join(parts)


def _thought(message: ChatMessage) -> str:
    blocks = [block for block in message.blocks if isinstance(block, ThinkingBlock)]
    return "".join(block.content or "" for block in blocks)


def _calls(message: ChatMessage) -> list[ToldCall]:
    return [
        ToldCall(block.tool_call_id or "", block.tool_name, raw_of(block.tool_kwargs))
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]


def _selection(block: ToolCallBlock) -> ToolSelection:
    name, raw = block.tool_name, raw_of(block.tool_kwargs)
    arguments = SaidCall(block.tool_call_id or "", name, raw).arguments
    if arguments is None:
        raise InputError(
            f"the call of {name} has no whole JSON object as its arguments: where it was cut off, "
            "give more max_tokens"
        )
    return ToolSelection(tool_id=block.tool_call_id or "", tool_name=name, tool_kwargs=arguments)


class _SoFar:
    """What a stream has told."""

    def __init__(self, asked: PendingTurn) -> None:
        self.asked, self.text, self.thought = asked, "", ""

    def response(self, piece: Piece | Said) -> ChatResponse:
        if isinstance(piece, Said):
            return _response(piece, self.asked, delta="")
        if piece.kind == "text":
            self.text += piece.text
        elif piece.kind == "thought":
            self.thought += piece.text
        delta = piece.text if piece.kind == "text" else ""
        extra = {"thinking_delta": piece.text} if piece.kind == "thought" else {}
        message = _message(self.asked, self.text, self.thought, [])
        return ChatResponse(message=message, delta=delta, additional_kwargs=extra)


def _message(
    asked: PendingTurn, text: str, thought: str, calls: list[ToolCallBlock]
) -> ChatMessage:
    thoughts = [ThinkingBlock(content=thought)] if thought else []
    blocks = [*thoughts, *([TextBlock(text=text)] if text else []), *calls]
    return ChatMessage(role="assistant", blocks=blocks, additional_kwargs={TURN: asked.turn_id})


def _response(said: Said, asked: PendingTurn, delta: str | None = None) -> ChatResponse:
    calls = [
        ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=call.raw or "{}")
        for call in said.calls
    ]
    usage = said.turn.answer.usage
    return ChatResponse(
        message=_message(asked, said.text, said.thought, calls),
        delta=delta,
        raw={
            "finish_reason": said.finish,
            "model": asked.model,
            "provenance": dict(said.turn.answer.provenance),
        },
        additional_kwargs={
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    )
