"""One place that decides: the line, then the persona, then the notebook's defaults."""

import dataclasses

import pytest
from IPython.core.interactiveshell import InteractiveShell
from pydantic import BaseModel

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.records import Message, Request, ToolSpec
from gptoss_magic.session import current
from gptoss_magic.turns import answer, settle
from gptoss_magic.turns.settle import SETTINGS
from tests.shell_cells import run, tiny_shell

POET = """---
name: poet
sampler: {temperature: 0.3, max_tokens: 7}
effort: high
style: verse
---
Rhyme."""


@pytest.fixture(scope="module", autouse=True)
def shell(tmp_path_factory):
    cells = (f"%%gptoss_persona poet\n{POET}",)
    with tiny_shell(tmp_path_factory.mktemp("settle"), 2048, *cells) as shell:
        yield shell
    current().personas.clear()


def test_the_line_wins_over_the_persona_and_that_over_the_defaults():
    defaults = {"temperature": 1.5, "top_p": 0.5, "max_tokens": 99, "system": "Be kind."}
    line = {"temperature": None, "max_tokens": 3, "system": "Be short.", "persona": "poet"}
    request = settle("Hello", defaults=defaults, **line)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.3, 0.5, 3)
    assert request.effort == "high"
    assert request.voice.instructions == "Style: verse\n\nRhyme.\n\nBe short."
    assert request.voice.names == ("poet",)


def test_a_persona_s_text_takes_the_place_of_the_default_system_text():
    defaults = {"system": "Be kind."}
    assert settle("x", defaults=defaults).voice.instructions == "Be kind."
    assert "kind" not in settle("x", defaults=defaults, persona=["poet"]).voice.instructions


def test_what_nobody_says_is_settled_too():
    request = settle("Hello")
    assert request.date
    assert 0 <= request.sampling.seed < 2**31
    assert (request.effort, request.conversation, request.passages) == ("medium", "", None)
    assert request == dataclasses.replace(request)
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.prompt = "other"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"temprature": 1}, "did you mean temperature"),
        ({"max_token": 1}, "did you mean max_tokens"),
        ({"adapter": "x"}, "did you mean adapters"),
        ({"nonsense": 1}, "there are adapters, calls"),
        ({"temperature": float("inf")}, "temperature inf: give 0"),
        ({"temperature": True}, "temperature True"),
        ({"top_p": 0}, "top-p 0"),
        ({"top_k": 1.5}, "top-k 1.5"),
        ({"seed": 2**63}, "seed"),
        ({"effort": "huge"}, "effort 'huge': give low, medium or high"),
        ({"date": "tomorrow"}, "date 'tomorrow'"),
        ({"date": "2026-02-30"}, "date '2026-02-30'"),
        ({"stop": ("",)}, "a stop string is empty"),
        ({"persona": ["nobody"]}, "no such persona"),
        ({"adapters": ["absent"]}, "absent"),
        ({"schema": {"titel": "x"}}, "schema"),
        ({"tools": ["get_time"]}, "give the function itself"),
        ({"tools": [ToolSpec("a"), ToolSpec("a")]}, "given twice"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_changes(settings, says):
    before = dict(current().conversations.turns)
    with pytest.raises(InputError, match=says) as caught:
        gptoss_magic.generate("Hello", **settings)
    assert "\n" not in str(caught.value)
    assert current().conversations.turns == before


def test_every_door_refuses_an_unknown_name():
    frame = pytest.importorskip("pandas").DataFrame({"a": [1]})
    last = gptoss_magic.generate("Hello", max_tokens=4, temperature=0)
    for door in (
        lambda **how: gptoss_magic.generate("x", **how),
        lambda **how: gptoss_magic.map(frame, "{{ a }}", **how),
        lambda **how: gptoss_magic.branch(last, 1, **how),
        lambda **how: gptoss_magic.refine(last, "So.", **how),
        lambda **how: gptoss_magic.respond([Message("user", "x")], **how),
    ):
        with pytest.raises(InputError, match="did you mean temperature"):
            door(temprature=1.0)
    assert list(frame.columns) == ["a"]


def test_settings_are_listed_once():
    assert len(set(SETTINGS)) == len(SETTINGS)
    assert {f.name for f in dataclasses.fields(Request)} >= {"prompt", "voice", "sampling"}


UNASKABLE = [
    ("%%gptoss\n{{ nosuchname }}", "no such name"),
    ("%%gptoss --schema Nothing\nx", "no such name"),
    ("%%gptoss --tool nothing\nx", "no such name"),
    ("%%gptoss --rag nothing_here\nx", "nothing_here"),
    ("%%gptoss --adapter nothing\nx", "nothing"),
    ("%%gptoss --persona nobody\nx", "no such persona"),
    ("%%gptoss -t inf\nx", "temperature"),
    ("%%gptoss -d tomorrow\nx", "date"),
    ("%%gptoss -o class\nx", "not a variable name"),
    ("%%gptoss --map nothing\nx", "no such name"),
    ("%%gptoss --map frame -I word\n{{ word }}", "no map wrote"),
    ("%%gptoss --map frame\n{{ other }}", "neither a column"),
    ("%%gptoss --into x\nHello", "beside --map only"),
    ("%%gptoss --of x\nHello", "beside --edit or --branch only"),
    ("%%gptoss --map frame --cold\n{{ word }}", "leave --cold out"),
    ("%%gptoss --map frame --conversation x\n{{ word }}", "leave --conversation out"),
    ("%%gptoss --calls 3\nx", "beside --tool only"),
    ("%%gptoss --passages 3\nx", "add --rag"),
    ("%%gptoss_tune --after nothing -N new\nq -> a", "nothing"),
    ("%%gptoss_tune --after ../other -N new\nq -> a", "other"),
]


@pytest.mark.parametrize(("cell", "says"), UNASKABLE)
def test_what_can_be_refused_without_a_model_loads_none(cell, says, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shell, session = InteractiveShell.instance(), current()
    shell.user_ns["frame"] = pytest.importorskip("pandas").DataFrame({"word": ["a"]})
    held = session.loaded, session.held_adapters
    session.loaded = session.held_adapters = None
    try:
        result, shown = run(shell, cell)
        assert session.loaded is None
    finally:
        session.loaded, session.held_adapters = held
    assert isinstance(result.error_in_exec, InputError), shown
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1


class City(BaseModel):
    name: str


def test_a_request_can_be_changed_and_asked_again():
    base = settle("Hello", temperature=0, max_tokens=6)
    first = answer(base)
    other = answer(dataclasses.replace(base, prompt="Another question"))
    again = answer(base)
    assert first.raw_tokens == again.raw_tokens
    assert first.provenance["prompt_tokens"] != other.provenance["prompt_tokens"]
    assert settle("Hello", schema=City).schema.name == "City"
