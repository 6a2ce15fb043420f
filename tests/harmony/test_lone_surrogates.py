"""Half a character (a lone surrogate) in any text: U+FFFD and a note, never a traceback."""

import pandas as pd
import pytest

import gptoss_magic
from gptoss_magic.agents.persona import Persona
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.quoting import num_surrogates, without_surrogates
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_tokenizer
from tests.shell_cells import clean_session, run, tiny_shell

HALF = "Say \ud83d b"
NOTE = "half of one (a lone surrogate) and was read as �."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("surrogates"), 2048) as shell:
        yield shell


@pytest.fixture
def shell(tiny, monkeypatch, tmp_path):
    with clean_session(monkeypatch, tmp_path):
        tiny.user_ns.update(half=HALF)
        yield tiny


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a\ud83d", "a�"),
        ("\ude00x", "�x"),
        ("a\ud83db", "a�b"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00é😀", "�😀é😀"),
        ("\ude00\ud83d", "��"),
        ("plain é 😀", "plain é 😀"),
    ],
)
def test_half_characters_are_replaced_and_pairs_joined(text, whole):
    assert without_surrogates(text) == whole
    codec = HarmonyCodec(tiny_tokenizer())
    assert codec.decode(codec.encode(text)) == whole


def test_they_are_counted():
    assert (num_surrogates("a\ud83d b\udc00"), num_surrogates("é😀")) == (2, 0)


@pytest.mark.parametrize("options", ["", "--system half", "-c talk"])
def test_a_prompt_with_one_is_answered_with_a_note(shell, options):
    with scripted(current(), saying("Yes.")) as engine:
        result, shown = run(shell, f"%%gptoss -n {options}\n{{{{ half }}}}")
        result.raise_error()
    assert "Say � b" in engine.prompt_texts[0]
    assert NOTE in shown


def test_a_whole_prompt_has_no_note(shell):
    with scripted(current(), saying("Yes.")):
        result, shown = run(shell, "%%gptoss -n -o a\nHello 😀")
    assert result.success
    assert NOTE not in shown
    assert "lone_surrogates" not in shell.user_ns["a"].provenance


def test_a_tool_s_result_and_description_with_one(shell):
    def look(city: str) -> str:
        return f"snow \udc00 in {city}"

    look.__doc__ = "The weather \ud83d."
    shell.user_ns["look"] = look
    run(shell, "%gptoss tools allow look")
    with scripted(current(), calling("look", '{"city": "Oslo"}'), saying("Snow.")) as engine:
        result, shown = run(shell, "%%gptoss -n --tool look\nWeather?")
        result.raise_error()
    assert "snow � in Oslo" in engine.prompt_texts[-1]
    assert "The weather �." in engine.prompt_texts[0]
    assert "Snow." in shown


def test_a_schema_with_one(shell):
    schema = {
        "type": "object",
        "description": "what \ud83d",
        "properties": {"a": {"type": "integer", "description": "\udfff"}},
        "required": ["a"],
    }
    answer = gptoss_magic.generate("x\ud83d", schema=schema, max_tokens=6, stop=("\ud83d",))
    assert answer.finish == "length"
    assert answer.provenance["lone_surrogates"] == 3


def test_a_row_of_a_map_with_one(shell):
    frame = pd.DataFrame({"q": ["a\ud83d", "b"]}, dtype=object)
    mapped = gptoss_magic.map(frame, "{{ q }}", into="o", max_tokens=3, temperature=0)
    assert (mapped.rows, mapped.done, mapped.finish) == (2, 2, "return")


def test_a_persona_s_text_with_one(shell):
    persona = Persona(name="odd", text=f"Speak of {HALF}.")
    current().personas["odd"] = persona
    with scripted(current(), saying("Yes.")) as engine:
        result, shown = run(shell, "%%gptoss -n -P odd\nHello")
        result.raise_error()
    assert "Speak of Say � b." in engine.prompt_texts[0]
    assert NOTE in shown
