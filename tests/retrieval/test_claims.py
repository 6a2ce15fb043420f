"""Whether cited lines bear a sentence, as far as words can tell."""

import pytest

from gptoss_magic.records import PAGES, Citation, Passage
from gptoss_magic.retrieval.cite import check
from gptoss_magic.retrieval.claims import doubt, judged

LINES = "The Moon orbits the Earth in 27.3 days, as 【0†tides】 show.\nIt has no air."
RUSSIAN = "Луна обращается вокруг Земли за 27 суток.\nВоздуха на ней нет."


@pytest.mark.parametrize(
    ("sentence", "lines"),
    [
        ("The Moon orbits Earth.", LINES),
        ("It orbits in 27.3 days 【0†L1】.", LINES),
        ("2. The Moon “orbits the Earth” in 27.3 days.", LINES),
        ('It "has no air".', LINES),
        ("Tides show that the Moon orbits the Earth.", LINES),
        ("Луна обращается вокруг Земли примерно за 27 суток 【0†L0】.", RUSSIAN),
        ("На Луне нет «воздуха на ней»: воздух отсутствует.", RUSSIAN),
        ("Луна обращается вокруг Земли.", LINES),  # another script: numbers alone are compared
    ],
)
def test_what_the_lines_say_is_not_doubted(sentence, lines):
    assert doubt(sentence, lines) == ""


@pytest.mark.parametrize(
    ("sentence", "lines", "words"),
    [
        ("The Moon orbits in 28.3 days.", LINES, "28 does not stand"),
        ("Mars is a red planet with two small satellites.", LINES, "words stand in these lines"),
        ('They say "the Moon is made of cheese".', LINES, "the quoted words “the Moon is made of"),
        ("Луна обращается за 28 суток.", RUSSIAN, "28 does not stand"),
        ("Марс имеет два маленьких спутника и красную почву.", RUSSIAN, "words stand in these"),
        ("Там «живут лунатики».", RUSSIAN, "the quoted words “живут лунатики”"),
    ],
)
def test_what_the_lines_do_not_say_is_doubted(sentence, lines, words):
    assert words in doubt(sentence, lines)


def passage(number, text, index=PAGES):
    return Passage(number, index, "web", "t", 0, text.count("\n"), text)


def judged_in(answer, *passages):
    return judged(answer, check(answer, passages), passages)


def test_citations_of_one_sentence_count_together():
    text = "The Moon orbits the Earth 【0†L0】【0†L1】 and has no air."
    one, two = judged_in(text, passage(0, LINES))
    assert (one.valid, one.doubt, two.doubt) == (True, "", "")
    (alone,) = judged_in("The Earth is what it orbits, in days 【0†L1】.", passage(0, LINES))
    assert "words stand in these lines" in alone.doubt


def test_lines_that_are_not_there_are_invalid_and_passages_of_an_index_are_not_judged():
    (gone,) = judged_in("It has no air 【0†L7】.", passage(0, LINES))
    assert (gone.valid, gone.doubt) == (False, "")
    (quoted,) = judged_in("Mars is red and dusty 【1†L1】.", passage(1, LINES, "docs"))
    assert quoted == Citation("【1†L1】", 22, 1, 1, 1, valid=True)
