"""LlamaIndex's OpenAILike and OpenAILikeResponses: chat, a stream, a tool."""

import json
import os

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike, OpenAILikeResponses


def weather(city: str) -> str:
    """Tells the weather."""
    return f"Солнце в {city}"


def told(kind):
    llm = kind(
        model="base",
        api_base=os.environ["ENDPOINT_URL"],
        api_key=os.environ["ENDPOINT_KEY"],
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=4096,
        max_retries=0,
    )
    tool = FunctionTool.from_defaults(weather)
    asked = [ChatMessage(role="system", content="Short."), ChatMessage(role="user", content="Hi")]
    whole = llm.chat(asked)
    deltas = [one.delta or "" for one in llm.stream_chat(asked)]
    called = llm.predict_and_call([tool], "The weather?")
    return {
        "whole": whole.message.content,
        "streamed": "".join(deltas),
        "tool": str(called),
        "calls": len(called.sources),
    }


models = {"responses": OpenAILikeResponses, "chat": OpenAILike}
print(json.dumps({name: told(kind) for name, kind in models.items()}))
