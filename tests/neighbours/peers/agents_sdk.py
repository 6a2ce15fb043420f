"""openai-agents: a handoff to an agent with a tool, over both APIs, whole and streamed."""

import asyncio
import json
import os

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI


@function_tool
def weather(city: str) -> str:
    """Tells the weather."""
    return f"Солнце в {city}"


def agents(model):
    settings = ModelSettings(include_usage=True)
    forecaster = Agent("Forecaster", instructions="Say it.", model=model, tools=[weather])
    return Agent("Desk", instructions="Hand over.", model=model, handoffs=[forecaster]), settings


async def told(kind):
    client = AsyncOpenAI(
        base_url=os.environ["ENDPOINT_URL"], api_key=os.environ["ENDPOINT_KEY"], max_retries=0
    )
    desk, _ = agents(kind("base", openai_client=client))
    whole = await Runner.run(desk, "The weather?")
    streamed = Runner.run_streamed(desk, "The weather?")
    kinds = [event.type async for event in streamed.stream_events()]
    again = await Runner.run(whole.last_agent, [*whole.to_input_list(), user("no tools: thanks")])
    return {
        "whole": whole.final_output,
        "agent": whole.last_agent.name,
        "items": [type(item).__name__ for item in whole.new_items],
        "streamed": streamed.final_output,
        "kinds": sorted(set(kinds)),
        "again": again.final_output,
    }


def user(text):
    return {"role": "user", "content": text}


async def main():
    models = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
    return {name: await told(kind) for name, kind in models.items()}


print(json.dumps(asyncio.run(main())))
