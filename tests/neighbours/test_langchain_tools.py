"""Our tools in LangChain: the same definitions, checks and consent."""

import pytest

from gptoss_magic import tool
from gptoss_magic.errors import InputError
from gptoss_magic.neighbours.langchain import GptOssChat
from gptoss_magic.neighbours.langchain_tools import langchain_tools
from gptoss_magic.scripted import calling, scripted
from gptoss_magic.session import current

CALLED = []


@pytest.fixture(autouse=True)
def _nothing_called():
    CALLED.clear()


def add(a: int, b: int = 2) -> int:
    """Adds.

    Args:
        a: the first
    """
    CALLED.append((a, b))
    return a + b


def test_only_what_is_auto_runs_where_nobody_is_asked():
    asks, auto = langchain_tools(add, tool(policy="auto", name="plus")(add))
    assert "needs the user's consent" in asks.invoke({"a": 1})
    assert CALLED == []
    assert auto.invoke({"a": 1}) == "3"
    assert CALLED == [(1, 2)]


def test_consent_is_asked_with_checked_arguments_before_each_call():
    asked = []

    def consent(one, arguments, note):
        asked.append((one.name, dict(arguments)))
        return None if arguments["a"] < 10 else "нет"

    (ours,) = langchain_tools(add, consent=consent)
    assert ours.invoke({"a": "7"}) == "9"
    assert ours.invoke({"a": 11, "b": 1}) == "нет"
    assert asked == [("add", {"a": 7}), ("add", {"a": 11, "b": 1})]
    assert CALLED == [(7, 2)]


@pytest.mark.parametrize("arguments", [{}, {"a": "семь"}, {"a": 1, "c": 2}])
def test_wrong_arguments_are_told_to_the_model(arguments):
    (ours,) = langchain_tools(tool(policy="auto")(add))
    said = ours.invoke({"type": "tool_call", "id": "1", "name": "add", "args": arguments})
    assert said.tool_call_id == "1"
    assert said.content
    assert CALLED == []


def test_what_is_no_tool_is_one_line():
    with pytest.raises(InputError, match="give a function"):
        langchain_tools(3)


@pytest.mark.usefixtures("resident")
def test_the_model_is_told_what_a_cell_would_tell():
    with scripted(current(), calling("add", '{"a": 1}')) as engine:
        said = GptOssChat().bind_tools(langchain_tools(add)).invoke("1 + 2?")
    assert said.tool_calls[0]["args"] == {"a": 1}
    assert "type add = (_: {" in engine.prompt_texts[0]
    assert "// the first\na: number," in engine.prompt_texts[0]
