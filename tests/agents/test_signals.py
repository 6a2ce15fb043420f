"""Signals: what may stand in a persona's file, and where they are heard and where not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.agents.layers import called_by, overlay
from gptoss_magic.agents.persona_file import parse_persona, render_persona
from gptoss_magic.agents.signals import Signal, heard, read_signals
from gptoss_magic.errors import InputError
from gptoss_magic.magics.body import own_text

FILE = """---
name: mate
signals:
  - hears: [полный ход, /deep]
    effort: high
    tools: [python]
  - hears: "корот*"
    overlay: terse
    adapters: [style]
handoff: [critic]
---
Отвечай."""
SIGNALS = (
    Signal(("полный ход", "/deep"), tools=("python",), effort="high"),
    Signal(("корот*",), overlay=("terse",), adapters=("style",)),
)


def test_a_file_says_signals_and_is_written_as_it_was_read():
    mate = parse_persona(FILE)
    assert mate.signals == SIGNALS
    assert mate.handoff == ("critic",)
    assert parse_persona(render_persona(mate)) == mate
    by_words = parse_persona("---\nname: a\nsignals: {/deep: {effort: low}}\n---\n")
    assert by_words.signals == (Signal(("/deep",), effort="low"),)


WRONG = [
    ("[x]", "write a list"),
    ("[{hears: ab}]", "ab: it calls nothing; give overlay:"),
    ("[{effort: high}]", "give the words that it is heard by"),
    ("[{hears: '*', effort: high}]", "give two letters or more, and one * at most"),
    ("[{hears: 'a* b*c*', effort: high}]", "give two letters or more, and one * at most"),
    ("[{hears: ab, effort: huge}]", "effort: give low, medium, high"),
    ("[{hears: ab, efort: high}]", "key efort: there is none of that name; did you mean effort?"),
    ("[{hears: ab, run: 'rm -rf'}]", "key run: there is none of that name"),
    ("[{hears: 'a1 b2 c3 d4 e5 f6 g7', effort: low}]", "give 6 words and 80 characters at most"),
    ("[{hears: [1], effort: low}]", "give a text, or a list of texts"),
]


@pytest.mark.parametrize(("value", "words"), WRONG)
def test_a_wrong_signal_is_one_line(value, words):
    with pytest.raises(InputError) as error:
        parse_persona(f"---\nname: a\nsignals: {value}\n---\n")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


HEARD = [
    ("Полный ход!", ["полный ход"]),
    ("дай (полный ХОД), пожалуйста", ["полный ход"]),
    ("полный  \n ход", ["полный ход"]),
    ("полный вперёд, ход", []),
    ("неполный ход", []),
    ("/deep why?", ["/deep"]),
    ("deep why", []),
    ("коротко, и полный ход", ["полный ход", "корот*"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "found"), HEARD)
def test_words_are_heard_as_they_stand(text, found):
    assert [one.by for one in heard(SIGNALS, text)] == found


@pytest.mark.parametrize(
    ("hears", "text", "is_heard"),
    [
        ("深入分析", "请你深入分析这个问题。", True),
        ("深入*问题", "请你深入分析这个问题。", True),
        ("问题*深入", "请你深入分析这个问题。", False),
        ("詳しく", "もっと詳しく教えてください", True),
        ("詳しく", "簡単に教えてください", False),
        ("بالتفصيل", "اشرح بالتفصيل، من فضلك", True),
    ],
)
def test_words_of_any_script_are_heard(hears, text, is_heard):
    signals = read_signals([{"hears": hears, "effort": "high"}], "x")
    assert bool(heard(signals, text)) == is_heard


def test_no_word_of_a_file_is_a_regular_expression():
    value = [{"hears": "(a+)+$", "effort": "high"}, {"hears": "aa*b", "effort": "low"}]
    signals = read_signals(value, "x")
    assert heard(signals, "a" * 200_000) == []  # as a pattern it would never end
    assert [one.by for one in heard(signals, "(a+)+$ aaXb")] == ["(a+)+$", "aa*b"]


@given(st.text(max_size=60), st.text("abвг ", min_size=2, max_size=9))
def test_any_text_is_heard_without_an_error(text, words):
    if len(words.replace(" ", "")) >= 2 and all(len(w) >= 2 for w in words.split()):
        signals = read_signals([{"hears": words, "effort": "high"}], "x")
        assert len(heard(signals, f"{text} {words}")) == 1
        heard(signals, text)


def persona(name, text):
    return parse_persona(f"---\nname: {name}\n{text}\n---\nI am {name}.")


def test_what_is_called_lies_on_top_for_the_turn_and_the_rest_stays_the_persona_s():
    mate = parse_persona(FILE.replace("name: mate", "name: mate\nmemory: on\ntools: [plan]"))
    terse = persona("terse", "memory: shared\neffort: low\nrag: docs\ntools: [notebook]")
    named = lambda names: [{"terse": terse}[name] for name in names]  # noqa: E731
    plain, layers, found = called_by("Скажи", [mate], named)
    assert (plain, layers, found) == (overlay([mate]), [mate], ())
    turn, layers, found = called_by("коротко и полный ход", [mate], named)
    assert found == (
        "полный ход: tools python, effort high",
        "корот*: overlay terse, adapters style",
    )
    assert (turn.name, turn.memory, turn.rag) == ("mate", "on", None)
    assert (turn.effort, turn.adapters) == ("high", ("style",))
    assert turn.tools == ("plan", "notebook", "python")
    assert turn.instructions == "Отвечай.\n\nI am terse."
    assert [layer.name for layer in layers] == ["mate", "terse"]


def test_an_overlay_that_is_not_here_is_one_line():
    def named(names):
        raise InputError(f"persona {names[0]}: no such persona")

    with pytest.raises(InputError, match=r"persona mate: its signal «корот\*»: persona terse"):
        called_by("коротко", [parse_persona(FILE)], named)


@pytest.mark.parametrize(
    ("body", "typed"),
    [
        ("a {{ document }} b", "a  \0  b"),
        ("{{ 1 }} {% raw %}{{ x }}{% endraw %}", "{{ 1 }} {{ x }}"),
        ("полный {{ x }} ход", "полный  \0  ход"),
    ],
)
def test_what_is_put_into_a_cell_is_not_the_user_s_own(body, typed):
    assert own_text(body) == typed
    assert heard(SIGNALS, own_text(body)) == []
    assert own_text(body, is_raw=True) == body
