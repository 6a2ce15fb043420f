"""The resident model in inspect-ai: `get_model("gptoss/base")`, found by its entry point.

inspect's own loop asks; answers are made in the desk's threads, many at once as one batch.
"""

from typing import Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.neighbours.resident import question, whole_async
from gptoss_magic.neighbours.speech import Said
from gptoss_magic.neighbours.told import ToldCall, ToldMessages, raw_of
from gptoss_magic.records import ToolSpec
from gptoss_magic.vocabulary import BATCH, EFFORTS, MAX_TOKENS, check_known

try:
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessage,
        ChatMessageAssistant,
        ChatMessageTool,
        Content,
        ContentReasoning,
        ContentText,
        GenerateConfig,
        ModelAPI,
        ModelOutput,
        ModelUsage,
        modelapi,
    )
    from inspect_ai.tool import ToolCall, ToolChoice, ToolFunction, ToolInfo
except ImportError as error:
    raise MissingPackage("this provider needs inspect-ai: pip install inspect-ai") from error

FINISHES = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls"}
ARGUMENTS = ("date", "effort")


@modelapi(name="gptoss")
def gptoss() -> type[ModelAPI]:
    """The provider of `gptoss/…`."""
    return GptOssAPI


class GptOssAPI(ModelAPI):
    """`gptoss/base`, `gptoss/base+ADAPTER`, `gptoss/base@PERSONA`: the model of this process.

    Model arguments: `date` of the prompts (YYYY-MM-DD), `effort`. A config's temperature, top_p,
    top_k, max_tokens, seed, stop_seqs, reasoning_effort and response_schema count.
    Raises InputError for other arguments.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (inspect's own signature)
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        check_known("model argument", model_args, ARGUMENTS)
        self.model_args = model_args

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 (inspect's own name)
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """One answer."""
        pending = question(
            self.model_name,
            told_of(input),
            tools=[spec_of_info(tool) for tool in tools],
            choice=_choice(tool_choice) if tools else None,
            schema=_schema(config),
            stop=config.stop_seqs,
            **_sampling(config, self.model_args),
        )
        return output_of(self.model_name, await whole_async(pending))

    def max_connections(self) -> int:
        """As many as are answered together."""
        return BATCH

    def max_tokens(self) -> int:
        """Of an answer, where nobody says."""
        return MAX_TOKENS

    def connection_key(self) -> str:
        """All names are one model."""
        return "gptoss"


def told_of(messages: list[ChatMessage]) -> ToldMessages:
    """Inspect's messages. Raises InputError for pictures, sounds and files."""
    told = ToldMessages()
    for message in messages:
        if isinstance(message, ChatMessageAssistant):
            calls = message.tool_calls or []
            said = [ToldCall(one.id, one.function, raw_of(one.arguments)) for one in calls]
            told.assistant(_text(message), _thought(message), said, message.id or "")
        elif isinstance(message, ChatMessageTool):
            failed = message.error.message if message.error is not None else ""
            told.result(
                message.tool_call_id or "", failed or _text(message), message.function or ""
            )
        else:
            told.say("user" if message.role == "user" else "developer", _text(message))
    return told


def spec_of_info(tool: ToolInfo) -> ToolSpec:
    """A tool as harmony tells it."""
    return ToolSpec(tool.name, tool.description, tool.parameters.model_dump(exclude_none=True))


def output_of(model: str, said: Said) -> ModelOutput:
    """The answer with its thought, calls and counts."""
    content: list[Content] = [ContentText(text=said.text)] if said.text else []
    if said.thought:
        content.insert(0, ContentReasoning(reasoning=said.thought))
    calls = [
        ToolCall(
            id=call.id,
            function=call.name,
            arguments=call.arguments or {},
            parse_error=None if call.arguments is not None else f"no JSON object: {call.raw:.200}",
        )
        for call in said.calls
    ]
    message = ChatMessageAssistant(
        id=said.turn.id, content=content or "", tool_calls=calls or None, source="generate"
    )
    usage = said.turn.answer.usage
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=FINISHES[said.finish])],
        usage=ModelUsage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            reasoning_tokens=usage.analysis_tokens,
        ),
    )


def _sampling(config: GenerateConfig, given: dict[str, Any]) -> dict[str, Any]:
    """What is said of how tokens are chosen."""
    names = ("temperature", "top_p", "top_k", "max_tokens", "seed")
    said = {name: getattr(config, name) for name in names}
    effort = config.reasoning_effort or given.get("effort")
    if effort is not None and effort not in EFFORTS:
        raise InputError(f"reasoning effort {effort!r}: give one of {', '.join(EFFORTS)}")
    return {**said, "effort": effort, "date": given.get("date")}


def _schema(config: GenerateConfig) -> Any:
    wanted = config.response_schema
    return None if wanted is None else wanted.json_schema.model_dump(exclude_none=True)


def _choice(choice: ToolChoice) -> Any:
    return choice.name if isinstance(choice, ToolFunction) else choice


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.type not in ("text", "reasoning"):
            raise InputError(
                f"a message has a part of type {part.type}: this model reads text alone; leave it "
                "out"
            )
    return "".join(part.text for part in message.content if part.type == "text")


def _thought(message: ChatMessageAssistant) -> str:
    if isinstance(message.content, str):
        return ""
    return "".join(part.reasoning for part in message.content if part.type == "reasoning")
