"""Persona files: read, written back the same, wrong ones refused; layers become one."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gptoss_magic.agents.layers import digest, layers_of, overlay
from gptoss_magic.agents.persona import Character, Persona, Sampler
from gptoss_magic.agents.persona_file import parse_persona, render_persona
from gptoss_magic.agents.position import Position
from gptoss_magic.agents.terms import MOST_NAME_CHARS, key_of
from gptoss_magic.errors import InputError
from gptoss_magic.records import Term

PIRATE = """\
---
name: pirate
position: captain of a small ship
style: short, salty sentences
effort: low
sampler:
  temperature: 0.5
  top_k: 40
adapters:
- sailor
tools:
- tide
memory: on
---

Speak as an old **pirate** would.
"""

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=MOST_NAME_CHARS).map(
    lambda text: text.replace("\r", "").removeprefix("\ufeff").strip()
)
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: name != "none"
)
lists = st.none() | st.lists(words.filter(bool), max_size=3, unique=True).map(tuple)
samplers = st.builds(
    Sampler,
    st.none() | st.floats(0, 99),
    st.none() | st.floats(0.001, 1),
    st.none() | st.integers(0, 1000),
    st.none() | st.integers(1, 1000),
)
labels = words.filter(lambda text: any(map(str.isalnum, text))).map(
    lambda text: " ".join(text.split())
)


@st.composite
def ontologies(draw):
    """Terms of different names, the later ones below earlier ones."""
    named = draw(st.lists(labels, max_size=4, unique_by=key_of))
    terms = []
    for number, name in enumerate(named):
        others = draw(st.lists(labels, max_size=2, unique_by=key_of))
        synonyms = tuple(other for other in others if key_of(other) != key_of(name))
        above = (
            tuple(draw(st.lists(st.sampled_from(named[:number]), unique=True))) if number else ()
        )
        terms.append(Term(name, draw(words.filter(bool)), synonyms, above))
    return tuple(terms)


sentences = st.lists(
    words.map(lambda text: " ".join(text.split())).filter(bool), max_size=2, unique=True
).map(tuple)
personas = st.builds(
    Persona,
    names,
    words,
    st.builds(Character, words, words, words, words),
    st.sampled_from([None, "low", "medium", "high"]),
    samplers,
    lists,
    lists,
    st.sampled_from([None, "off", "on", "shared"]),
    st.just("") | names,
    st.builds(Position, sentences, sentences, sentences),
    ontologies(),
)


@given(personas)
def test_what_is_written_is_read_the_same(persona):
    text = render_persona(persona)
    again = parse_persona(text)
    assert again == persona
    assert render_persona(again) == text
    assert digest(again) == digest(persona)


@given(st.text(), st.sampled_from(["", "---\n", "---\neffort: ", "---\nsampler: {"]))
def test_any_text_is_a_persona_or_refused(text, start):
    try:
        persona = parse_persona(start + text, "anyone")
    except InputError as error:
        refusal = str(error)
        return event("refused" if refusal.isprintable() else "refused, with odd characters")
    assert persona.name == "anyone"
    assert persona.source == start + text
    assert "<|" not in persona.instructions
    assert "|>" not in persona.instructions


def test_a_file_says_it_all():
    pirate = parse_persona(PIRATE)
    assert pirate.settings == {"temperature": 0.5, "top_k": 40, "effort": "low"}
    assert (pirate.adapters, pirate.tools, pirate.memory) == (("sailor",), ("tide",), "on")
    assert pirate.instructions == (
        "Position: captain of a small ship\nStyle: short, salty sentences\n\n"
        "Speak as an old **pirate** would."
    )
    assert render_persona(pirate) == PIRATE
    plain = parse_persona("Only *text*.\n", "plain")
    assert (plain.instructions, plain.settings, plain.memory) == ("Only *text*.", {}, None)
    assert parse_persona("---\n---\nHi", "a").text == "Hi"
    assert parse_persona("\ufeff---\r\neffort: high\r\n---\r\nHi\r\n", "a").effort == "high"


@pytest.mark.parametrize(
    ("matter", "says"),
    [
        ("stile: dry", "no such key 'stile'; perhaps style"),
        ("colour: red", "there are name, extends, position"),
        ("temperature: 1\nsampler: {}", "below sampler"),
        ("sampler: {temprature: 1}", "perhaps temperature"),
        ("sampler: {temperature: -1}", "temperature: give 0"),
        ("sampler: {temperature: .nan}", "temperature: give 0"),
        ("sampler: {top_k: true}", "top_k: give 0"),
        ("sampler: hot", "sampler is no mapping"),
        ("effort: huge", "give low, medium, high"),
        ("memory: some", "give off, on, shared"),
        ("style: 2026-01-01", "is a date, not a text; put it in quotes"),
        ("tools: {a: 1}", "give a list of names"),
        ("style: a\nstyle: b", "stands twice"),
        ("name: other", "the file calls it other"),
        ("extends: a b", "a name has letters"),
        ("- a", "no mapping"),
        ("a: [", "flow"),
        ("? [a]\n: 1", "persona x"),
        ("tools: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: &a [1]\nb: *a", "no such key 'a'"),
    ],
)
def test_a_wrong_front_matter_says_what_is_wrong(matter, says):
    with pytest.raises(InputError) as caught:
        parse_persona(f"---\n{matter}\n---\nText", "x")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_files_are_refused():
    for text, says in (
        ("---\nstyle: dry\nno end", "no end"),
        ("x" * 200_001, "200,001 characters"),
        ("---\n" + "a: " * 5000 + "\n---\n", "mapping values"),
        ("---\nstyle: " + "[" * 5000 + "\n---\n", "persona x"),
    ):
        with pytest.raises(InputError, match=says):
            parse_persona(text, "x")
    for name in ("none", "a b", "../x", ""):
        with pytest.raises(InputError, match="a name has letters"):
            parse_persona("Text", name)


def test_layers_are_laid_in_their_order():
    held = {
        one.name: one
        for one in (
            parse_persona(PIRATE),
            parse_persona("---\nextends: pirate\nstyle: rhymes\n---\nYou are old.", "old"),
            parse_persona("---\nsampler: {temperature: 0}\ntools: []\n---\nBe brief.", "terse"),
        )
    }
    layers = layers_of(["old", "terse"], held)
    assert [layer.name for layer in layers] == ["pirate", "old", "terse"]
    whole = overlay(layers)
    assert whole.name == "pirate+old+terse"
    assert whole.text == "Speak as an old **pirate** would.\n\nYou are old.\n\nBe brief."
    assert whole.character == Character("captain of a small ship", style="rhymes")
    assert whole.settings == {"temperature": 0, "top_k": 40, "effort": "low"}
    assert (whole.adapters, whole.tools, whole.memory) == (("sailor",), (), "on")
    assert digest(whole) != digest(overlay(layers[:2]))


def test_layers_that_cannot_be_laid():
    held = {
        "a": parse_persona("---\nextends: b\n---", "a"),
        "b": parse_persona("---\nextends: a\n---", "b"),
    }
    assert layers_of(["none"], held) == layers_of([], held) == []
    assert overlay([]) == Persona("")
    for wanted, says in (
        (["a"], "extends itself"),
        (["c"], "no such persona; there are a, b"),
        (["none", "a"], "leave the other names out"),
    ):
        with pytest.raises(InputError, match=says):
            layers_of(wanted, held)
