"""`GptOssLLM` in LlamaIndex's own hands: chat, streams, completions, tools, an agent, a form."""

import asyncio
import json

from here import fault_of, is_exact, speaking, weather
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from gptoss_magic.neighbours.llama_index import GptOssLLM
from gptoss_magic.scripted import calling, saying


class City(BaseModel):
    """A city."""

    name: str


tool = FunctionTool.from_defaults(weather)
user = ChatMessage(role="user", content="Привет")
told = {}

with speaking(saying("Да.", "Думаю."), saying("Да.", "Думаю."), saying("Да."), saying("Да.")):
    llm = GptOssLLM(seed=3)
    whole = llm.chat([ChatMessage(role="system", content="Кратко."), user])
    kinds = [type(block).__name__ for block in whole.message.blocks]
    streamed = list(llm.stream_chat([user]))
    told["chat"] = [whole.message.content, kinds, whole.raw["provenance"]["sampling"]["seed"]]
    told["stream"] = ["".join(one.delta for one in streamed), streamed[-1].message.content]
    told["complete"] = [llm.complete("x").text, asyncio.run(llm.acomplete("x")).text]

with speaking(calling("weather", '{"city" :  "Омск"}', "Смотрю."), saying("Солнечно.")) as engine:
    first = llm.chat_with_tools([tool], "Погода?")
    (call,) = llm.get_tool_calls_from_response(first)
    known = {"tool_call_id": call.tool_id, "name": call.tool_name}
    result = ChatMessage(role="tool", content="Солнце", additional_kwargs=known)
    asked = ChatMessage(role="user", content="Погода?")
    last = llm.chat_with_tools([tool], chat_history=[asked, first.message, result])
    told["tools"] = [call.tool_kwargs, last.message.content, is_exact(engine)]

with speaking(calling("weather", '{"city": "Омск"}'), saying("Солнечно.")) as engine:
    agent = FunctionAgent(tools=[tool], llm=llm, system_prompt="Кратко.")

    async def run():
        return str(await agent.run("Погода?"))

    told["agent"] = [asyncio.run(run()), is_exact(engine)]

with speaking(calling("weather", '{"city": "О')):
    cut = llm.chat_with_tools([tool], "Погода?")
    told["cut"] = fault_of(lambda: llm.get_tool_calls_from_response(cut))

with speaking(calling("City", '{"name": "Омск"}')):
    told["form"] = llm.as_structured_llm(City).complete("Город?").raw.name

with speaking() as engine:
    image = ChatMessage(role="user", blocks=[ImageBlock(image=b"x")])
    told["faults"] = [
        fault_of(lambda: llm.chat([image])),
        fault_of(lambda: llm.chat([user], temprature=1)),
        fault_of(lambda: llm.chat([])),
        fault_of(lambda: GptOssLLM(model="gpt-4").chat([user])),
    ]
    told["asked"] = len(engine.prompts)
told["context"] = llm.metadata.context_window
print(json.dumps(told))
