"""What was cut off is never completed: LangChain reads half a JSON object as a whole one."""

import asyncio

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from gptoss_magic.neighbours.langchain import GptOssChat
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from tests.neighbours.test_langchain_chat import joined

pytestmark = pytest.mark.usefixtures("resident")
CUT = '{"path": "/home/анна'
ASKED = HumanMessage("Удали")


@tool
def delete(path: str) -> str:
    """Deletes a folder."""
    return path


async def gathered(model):
    whole = None
    async for chunk in model.astream([ASKED]):
        whole = chunk if whole is None else whole + chunk
    return whole


WAYS = {
    "whole": lambda model: model.invoke([ASKED]),
    "streamed": lambda model: joined(model.stream([ASKED])),
    "in a loop": lambda model: asyncio.run(gathered(model)),
    "whole, in a loop": lambda model: asyncio.run(model.ainvoke([ASKED])),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_was_cut_off_is_none(way):
    with scripted(current(), calling("delete", CUT, "Думаю.")):
        said = WAYS[way](GptOssChat().bind_tools([delete]))
    assert said.tool_calls == []
    (broken,) = said.invalid_tool_calls
    assert broken["name"] == "delete"
    assert broken["args"].endswith(CUT)


@pytest.mark.parametrize("way", WAYS)
def test_it_comes_back_in_its_own_tokens(way):
    with scripted(current(), calling("delete", CUT, "Думаю."), saying("Нет.")) as engine:
        model = GptOssChat().bind_tools([delete])
        said = WAYS[way](model)
        result = ToolMessage("не JSON", tool_call_id=said.invalid_tool_calls[0]["id"])
        model.invoke([ASKED, said, result])
    turn = current().conversations.get(said.id)
    read = [*turn.prompt_ids, *turn.answer_ids]
    assert engine.prompts[1][: len(read)] == read


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_call_is_streamed_whole(way):
    with scripted(current(), calling("delete", '{"path": "/"}')):
        said = WAYS[way](GptOssChat().bind_tools([delete]))
    assert [call["args"] for call in said.tool_calls] == [{"path": "/"}]
    assert said.invalid_tool_calls == []


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("schema", [City, {"title": "City", **City.model_json_schema()}])
@pytest.mark.parametrize("include_raw", [False, True])
def test_an_answer_that_was_cut_off_is_no_value(schema, include_raw):
    text = '{"name": "Нижний Новгород"}'
    with scripted(current(), saying(text)):
        model = GptOssChat(max_tokens=30)  # the tiny model's tokens are bytes
        asked = model.with_structured_output(schema, include_raw=include_raw)
        if include_raw:
            made = asked.invoke("x")
            assert made["parsed"] is None
            assert made["raw"].response_metadata["finish_reason"] == "length"
            assert "more max_tokens" in str(made["parsing_error"])
            return
        with pytest.raises(OutputParserException, match="more max_tokens"):
            asked.invoke("x")


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "json_schema": {"name": "c", "schema": City.model_json_schema()}},
        {"type": "json_object"},
        City,
    ],
)
def test_a_response_format_is_a_schema(form):
    with scripted(current(), saying('{"name": "Омск"}')):
        said = GptOssChat().bind(response_format=form).invoke("x")
    turn = current().conversations.get(said.id)
    assert turn.answer.provenance["schema"]["schema"]["type"] == "object"


def test_free_text_is_a_response_format_too():
    with scripted(current(), saying("Да.")):
        said = GptOssChat().bind(response_format={"type": "text"}).invoke("x")
    assert "schema" not in current().conversations.get(said.id).answer.provenance


def test_a_plain_document_is_text(script):
    part = {"type": "text-plain", "text": "Кот спит.", "mime_type": "text/plain"}
    GptOssChat().invoke([HumanMessage([part, {"type": "text", "text": " Где?"}]), AIMessage("?")])
    assert "Кот спит. Где?" in script.prompt_texts[-1]
