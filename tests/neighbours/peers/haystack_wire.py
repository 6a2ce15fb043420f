"""Haystack's OpenAI generators: chat and Responses, a tool, a stream."""

import json
import os

from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack.utils import Secret


def weather(city: str) -> str:
    """Tells the weather."""
    return f"Солнце в {city}"


def told(kind):
    chunks = []
    tool = create_tool_from_function(weather)
    asked = [ChatMessage.from_user("The weather?")]
    made = kind(
        model="base",
        api_base_url=os.environ["ENDPOINT_URL"],
        api_key=Secret.from_token(os.environ["ENDPOINT_KEY"]),
        tools=[tool],
    )
    first = made.run(asked)["replies"][0]
    call = first.tool_call
    result = ChatMessage.from_tool(tool.invoke(**call.arguments), origin=call)
    second = made.run([*asked, first, result], streaming_callback=chunks.append)["replies"][0]
    return {
        "call": [call.tool_name, call.arguments],
        "text": second.text,
        "streamed": "".join(chunk.content for chunk in chunks),
    }


models = {"responses": OpenAIResponsesChatGenerator, "chat": OpenAIChatGenerator}
print(json.dumps({name: told(kind) for name, kind in models.items()}))
