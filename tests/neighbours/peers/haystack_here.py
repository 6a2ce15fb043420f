"""`GptOssChatGenerator` in Haystack's hands: runs, streams, tools, an agent, a kept pipeline."""

import asyncio
import json

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.utils import print_streaming_chunk
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools import create_tool_from_function
from here import fault_of, is_exact, speaking, weather

from gptoss_magic.neighbours.haystack import GptOssChatGenerator
from gptoss_magic.scripted import calling, saying

tool = create_tool_from_function(weather)
user = ChatMessage.from_user("Привет")
told = {}

with speaking(*[saying("Да.", "Думаю.")] * 4):
    made, chunks = GptOssChatGenerator(generation_kwargs={"seed": 3}), []
    reply = made.run([ChatMessage.from_system("Кратко."), user])["replies"][0]
    again = made.run("Привет", streaming_callback=chunks.append)["replies"][0]

    async def hear(chunk):
        chunks.append(chunk)

    later = asyncio.run(made.run_async([user], streaming_callback=hear))["replies"][0]
    last = asyncio.run(made.run_async([user]))["replies"][0]
    told["run"] = [reply.text, reply.reasoning.reasoning_text, again.text, later.text, last.text]
    told["seed"] = reply.meta["provenance"]["sampling"]["seed"]
    told["chunks"] = "".join(chunk.content for chunk in chunks)
    told["thoughts"] = "".join(c.reasoning.reasoning_text for c in chunks if c.reasoning)
    told["finish"] = chunks[-1].finish_reason

with speaking(calling("weather", '{"city" :  "Омск"}', "Смотрю."), saying("Солнечно.")) as engine:
    made = GptOssChatGenerator(tools=[tool])
    asked = [ChatMessage.from_user("Погода?")]
    first = made.run(asked)["replies"][0]
    result = ChatMessage.from_tool("Солнце", origin=first.tool_call)
    second = made.run([*asked, ChatMessage.from_dict(first.to_dict()), result])["replies"][0]
    told["tools"] = [first.tool_call.arguments, second.text, is_exact(engine)]

with speaking(calling("weather", '{"city": "Омск"}'), saying("Солнечно.")) as engine:
    deltas = []
    agent = Agent(chat_generator=GptOssChatGenerator(), tools=[tool])
    said = agent.run(messages=asked, streaming_callback=deltas.append)
    told["agent"] = [said["messages"][-1].text, is_exact(engine)]
    told["deltas"] = "".join(
        call.arguments or "" for chunk in deltas for call in chunk.tool_calls or ()
    )

with speaking(saying("Да.")):
    pipeline = Pipeline()
    kept = GptOssChatGenerator("base", print_streaming_chunk, {"max_tokens": 60}, [tool])
    pipeline.add_component("say", kept)
    modules = ["gptoss_magic.neighbours.haystack", "haystack.*", "here"]
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=modules)
    told["kept"] = loaded.get_component("say").to_dict() == kept.to_dict()

with speaking() as engine:
    image = ChatMessage.from_user(
        content_parts=[ImageContent(base64_image="eA==", mime_type="image/png")]
    )
    told["faults"] = [
        fault_of(lambda: made.run([image])),
        fault_of(lambda: made.run([user], generation_kwargs={"temprature": 1})),
        fault_of(lambda: made.run([])),
        fault_of(lambda: GptOssChatGenerator("gpt-4").run([user])),
    ]
    told["asked"] = len(engine.prompts)
print()
print(json.dumps(told))
