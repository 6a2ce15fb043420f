"""A run of tools, replayed: from its recorded results, or with the tools called again."""

import json

import pytest

import gptoss_magic
from gptoss_magic import tool
from gptoss_magic.agents.consent import by_policy
from gptoss_magic.errors import InputError
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.sharing.answer_json import answer_json
from gptoss_magic.sharing.notebooks import KEY
from gptoss_magic.sharing.replay import replay
from gptoss_magic.testing import tiny_checkpoint

RUN = (
    calling("weather", '{"town": "Рига"}', "First the weather."),
    calling("weather", '{"town": "Oslo"}'),
    saying("Warm in Рига."),
)
ANSWERS = {"Рига": "21 °C", "Oslo": "9 °C"}


@tool(policy="auto")
def weather(town: str) -> str:
    """The weather of a town."""
    return ANSWERS[town]


@pytest.fixture(scope="module", autouse=True)
def resident(tmp_path_factory):
    current().unload()
    folder = tmp_path_factory.mktemp("tools")
    gptoss_magic.load(str(tiny_checkpoint(folder / "tiny")), context=2048)
    yield
    current().unload()


@pytest.fixture
def file(tmp_path):
    """A notebook with one answer that called the weather twice."""
    with scripted(current(), *RUN):
        made = gptoss_magic.generate(
            "How warm?", tools=[weather], consent=by_policy(), date="2026-01-01"
        )
    assert [step.outcome for step in made.steps] == ["result", "result"]
    output = {"metadata": {KEY: answer_json(made)["record"]}}
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps({"cells": [{"source": "x", "outputs": [output]}]}))
    return path


def replayed(file, **how):
    with scripted(current(), *RUN):
        (one,) = replay(file, **how)
    return one


def test_every_call_of_the_model_is_run_again(file):
    one = replayed(file)
    assert one.words.endswith("tokens are identical")
    assert len(one.answer.calls) == 3
    codec = current().codec
    prompts = [codec.decode(list(call.prompt_ids)) for call in one.answer.calls]
    assert "21 °C" in prompts[1]
    assert "9 °C" in prompts[2]


def test_live_tools_that_say_the_same(file):
    one = replayed(file, tool_named=lambda name: [weather], consent=by_policy())
    assert one.verdict == "identical"


def test_live_tools_that_say_something_else(file, monkeypatch):
    monkeypatch.setitem(ANSWERS, "Oslo", "snow")
    one = replayed(file, tool_named=lambda name: [weather], consent=by_policy())
    assert one.words == "not comparable: tool weather: «9 °C» then, «snow» here"


def test_without_consent_no_tool_runs(file, monkeypatch):
    for town in ANSWERS.copy():
        monkeypatch.delitem(ANSWERS, town)  # a call would be an error
    one = replayed(file, tool_named=lambda name: [weather])
    assert "«21 °C» then, «not run: nobody was asked» here" in one.words


def test_a_tool_that_is_not_here_is_named(file):
    def nowhere(name):
        raise InputError(f"{name}: no such tool")

    one = replayed(file, tool_named=nowhere, consent=by_policy())
    assert "tool weather: not here (weather: no such tool)" in one.words


def test_another_call_parts(file):
    other = calling("weather", '{"town": "Rome"}', "First the weather.")
    with scripted(current(), other, *RUN[1:]):
        (one,) = replay(file)
    assert one.verdict == "parts"
    assert one.parting.call == 0
    assert one.parting.here_rest.startswith("R")


def test_a_run_of_the_browser_is_replayed_with_its_pages(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "moon.md").write_text("# Moon\n\nIt has no air.\n")
    tools = gptoss_magic.browser(str(docs), policy="auto")
    said = calling("browser.open", json.dumps({"id": f"folder:{docs}/moon.md"}))
    script = (said, saying("It has no air 【0†L4】."))
    with scripted(current(), *script):
        made = gptoss_magic.generate("Air?", tools=tools, consent=by_policy(), date="2026-01-01")
    record = answer_json(made)["record"]
    assert [passage["number"] for passage in record["passages"]] == [0]
    output = {"metadata": {KEY: json.loads(json.dumps(record))}}
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps({"cells": [{"source": "x", "outputs": [output]}]}))
    named = []

    def run_again():
        with scripted(current(), *script):
            how = {"tool_named": lambda name: named.append(name) or tools, "consent": by_policy()}
            (one,) = replay(path, **how)
        return one

    assert run_again().verdict == "identical"
    assert named == [f"browser:{docs}"]
    (docs / "moon.md").write_text("# Moon\n\nIt has some air.\n")
    assert "tool browser.open: «[0] Moon" in run_again().words
