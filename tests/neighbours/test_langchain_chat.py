"""`GptOssChat`: LangChain's messages over the resident model, in exact tokens."""

import asyncio
import json
import threading
from typing import Annotated, TypedDict

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.tools import tool
from pydantic import BaseModel

from gptoss_magic.agents.persona import Persona, Sampler
from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.langchain import GptOssChat
from gptoss_magic.records import Message
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current

pytestmark = pytest.mark.usefixtures("resident")


@tool
def look(where: str) -> str:
    """Looks."""
    return f"свет в {where}"


def joined(stream):
    whole = None
    for chunk in stream:
        whole = chunk if whole is None else whole + chunk
    return whole


def test_an_answer_has_its_thought_its_usage_and_its_provenance():
    with scripted(current(), saying("Да.", "Думаю.")):
        said = GptOssChat(seed=3).invoke("Привет")
    assert said.content == "Да."
    kinds = [(block["type"], block.get("reasoning")) for block in said.content_blocks]
    assert kinds == [("reasoning", "Думаю."), ("text", None)]
    usage = said.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"]["reasoning"] > 0
    assert said.response_metadata["finish_reason"] == "stop"
    assert said.response_metadata["provenance"]["sampling"]["seed"] == 3
    assert said.response_metadata["provenance"]["turn"]["id"] == said.id
    assert current().conversations.get(said.id).answer.final == "Да."
    json.dumps(message_to_dict(said))


def test_a_stream_adds_up_to_the_whole_answer():
    script = [Message("assistant", "Сейчас.", "commentary"), *calling("look", '{"where": "тут"}')]
    with scripted(current(), script, script):
        model = GptOssChat().bind_tools([look])
        whole = model.invoke("Привет")
        chunks = list(model.stream("Привет"))
    said = joined(chunks)
    assert said.text == whole.text == "Сейчас."
    assert [call["args"] for call in said.tool_calls] == [{"where": "тут"}]
    assert {chunk.id for chunk in chunks} == {said.id}
    assert said.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]
    assert said.response_metadata["finish_reason"] == "tool_calls"
    assert [chunk for chunk in chunks if chunk.usage_metadata] == [chunks[-1]]


def test_thoughts_come_as_reasoning_blocks_in_a_stream():
    with scripted(current(), saying("Да.", "Думаю.")):
        chunks = list(GptOssChat().stream("Привет"))
    blocks = [block for chunk in chunks for block in chunk.content_blocks]
    assert "".join(b["reasoning"] for b in blocks if b["type"] == "reasoning") == "Думаю."
    assert "".join(b["text"] for b in blocks if b["type"] == "text") == "Да."


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_comes_back_is_read_by_its_tokens(is_kept):
    raw = '{"where" :  "тут"}'
    with scripted(current(), calling("look", raw, "Смотрю."), saying("Вижу.")) as engine:
        model = GptOssChat().bind_tools([look])
        asked = [SystemMessage("Кратко."), HumanMessage("Где?")]
        first = model.invoke(asked)
        call = first.tool_calls[0]
        result = look.invoke(call)
        if is_kept:  # as a checkpoint of LangGraph keeps it
            (first,) = messages_from_dict([json.loads(json.dumps(message_to_dict(first)))])
        else:  # rebuilt by a framework: the call's id alone is ours
            first = AIMessage("", tool_calls=[call])
        assert model.invoke([*asked, first, result]).content == "Вижу."
    said = next(t for t in current().conversations.turns.values() if t.answer.tool_calls)
    read = [*engine.prompts[0], *said.answer_ids]
    assert engine.prompts[1][: len(read)] == read
    assert (
        "functions.look to=assistant<|channel|>commentary<|message|>свет в тут"
        in (engine.prompt_texts[1])
    )


def test_what_was_changed_is_read_as_it_says_now():
    with scripted(current(), saying("Да.", "Думаю."), saying("Ясно.")) as engine:
        model = GptOssChat()
        said = model.invoke("Да?")
        said.content = "Нет."
        model.invoke([HumanMessage("Да?"), said, HumanMessage("Точно?")])
    assert "<|channel|>final<|message|>Нет.<|end|>" in engine.prompt_texts[1]
    assert "Думаю" not in engine.prompt_texts[1]


def test_roles_that_there_are():
    with scripted(current(), saying("Да.")) as engine:
        GptOssChat().invoke(
            [
                ("developer", "Кратко."),
                {"role": "user", "content": [{"type": "text", "text": "Раз."}]},
                ChatMessage(role="assistant", content="Два."),
                ("system", "Строго."),
                HumanMessage("Три?", name="Аня"),
            ]
        )
    (text,) = engine.prompt_texts
    assert "# Instructions\n\nКратко." in text.split("<|start|>user")[0]
    assert "final<|message|>Два.<|end|><|start|>developer<|message|># Instructions" in text
    assert "Строго.<|end|><|start|>user<|message|>Три?<|end|>" in text


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "no messages"),
        ([HumanMessage([{"type": "image", "url": "http://x/y.png"}])], "type image"),
        ([HumanMessage([{"type": "image_url", "image_url": {"url": "http://x"}}])], "text alone"),
        ([ChatMessage(role="judge", content="x")], "'judge'"),
        ([HumanMessage("x"), ToolMessage("y", tool_call_id="nix")], "'nix'"),
    ],
)
def test_messages_that_cannot_be_are_one_line(messages, says):
    with pytest.raises(InputError, match=says) as caught:
        GptOssChat().invoke(messages)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temprature": 1}, "did you mean temperature"),
        ({"model": "gpt-4"}, "'gpt-4'"),
        ({"model": "base@nobody"}, "nobody"),
        ({"model": "base+none-such"}, "none-such"),
        ({"reasoning_effort": "extreme"}, "extreme"),
        ({"temperature": -1}, "temperature"),
        ({"tools": [look], "tool_choice": "jump"}, "jump"),
        ({"tool_choice": "any"}, "no tool is offered"),
        ({"tool_choice": 3}, "tool choice"),
        ({"max_tokens": 0}, "max tokens"),
    ],
)
def test_options_that_cannot_be_are_one_line(script, options, says):
    with pytest.raises(InputError, match=says) as caught:
        GptOssChat().invoke("x", **options)
    assert "\n" not in str(caught.value)
    assert script.prompts == []


def test_a_persona_speaks_by_name():
    sampler = Sampler(max_tokens=60)
    current().personas["pirate"] = Persona("pirate", "Говори как пират.", sampler=sampler)
    with scripted(current(), saying("Йо-хо.")) as engine:
        said = GptOssChat(model="base@pirate").invoke("Привет")
    assert "Говори как пират." in engine.prompt_texts[0]
    provenance = said.response_metadata["provenance"]
    assert provenance["persona"]["name"] == "pirate"
    assert provenance["sampling"]["max_tokens"] == 60


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke"])
def test_a_stop_string_ends_the_answer_not_the_thought(way):
    with scripted(current(), saying("раз два СТОП три", "думаю СТОП думаю")):
        model = GptOssChat(stop=["СТОП", "xx"])
        if way == "stream":
            said = joined(model.stream("x"))
        else:
            said = model.invoke("x") if way == "invoke" else asyncio.run(model.ainvoke("x"))
    assert said.text == "раз два "
    assert said.content_blocks[0]["reasoning"] == "думаю СТОП думаю"
    assert said.response_metadata["finish_reason"] == "stop"


def test_the_real_engine_repeats_by_its_seed_alone_and_among_others():
    model = GptOssChat(seed=5, max_tokens=12, temperature=1)
    alone = [model.invoke(f"текст {n}") for n in range(4)]
    together = model.batch([f"текст {n}" for n in range(4)])
    ids = [current().conversations.get(m.id).answer_ids for m in (*alone, *together)]
    assert ids[:4] == ids[4:]
    assert alone[0].response_metadata["finish_reason"] == "length"


@pytest.mark.parametrize(("choice", "name"), [("look", "look"), ("any", None), ("required", None)])
def test_a_call_that_must_be_is_made_by_the_real_engine(choice, name):
    @tool
    def jump(high: bool) -> str:
        """Jumps."""
        return "up"

    model = GptOssChat(seed=1, temperature=1, max_tokens=1500).bind_tools(
        [jump] if name is None else [jump, look], tool_choice=choice
    )
    said = model.invoke("x")
    names = [call["name"] for call in (*said.tool_calls, *said.invalid_tool_calls)]
    assert names == [name or "jump"]


class Joke(BaseModel):
    setup: str
    good: bool


class JokeDict(TypedDict):
    """A joke."""

    setup: Annotated[str, ..., "the question"]
    good: bool


@pytest.mark.parametrize("schema", [Joke, JokeDict, Joke.model_json_schema()])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(script, schema, method):
    model = GptOssChat().with_structured_output(schema, method=method, include_raw=True)
    said = model.invoke("A joke")
    wanted = {"setup": "Paris", "good": True}
    assert said["parsed"] == (Joke(**wanted) if schema is Joke else wanted)
    assert said["parsing_error"] is None
    assert isinstance(said["raw"], AIMessage)


def test_structured_output_is_held_to_by_the_real_engine():
    schema = {"title": "seven", "type": "object", "properties": {"n": {"enum": [7]}}}
    schema |= {"required": ["n"], "additionalProperties": False}
    model = GptOssChat(seed=3, temperature=1.5, max_tokens=1500)
    assert model.with_structured_output(schema).invoke("x") == {"n": 7}


def test_what_is_no_json_object_is_an_invalid_call():
    with scripted(current(), calling("look", "[1")):
        said = GptOssChat().bind_tools([look]).invoke("x")
    assert said.tool_calls == []
    assert said.invalid_tool_calls[0]["args"] == "[1"


def test_who_stops_reading_ends_the_answer():
    model = GptOssChat(max_tokens=2000, temperature=1, seed=2)
    stream = model.stream("x")
    next(stream)
    stream.close()

    async def leave():
        async for _ in model.astream("x"):
            break

    asyncio.run(leave())
    from gptoss_magic.neighbours.resident import DESK

    done = threading.Event()
    for _ in range(600):
        if not DESK.num_open:
            break
        done.wait(0.05)
    assert DESK.num_open == 0


def test_tokens_are_counted_as_the_model_counts_them():
    assert GptOssChat().get_num_tokens("Привет") == len(current().codec.encode("Привет"))


def test_chains_read_its_text(script):
    assert (GptOssChat() | StrOutputParser()).invoke("Привет") == "Hello from Paris."
