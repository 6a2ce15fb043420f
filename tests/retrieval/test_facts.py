"""Facts of a memory: what a newer one does to an older one, and who is meant when one is asked."""

from dataclasses import replace

import pytest

from benchmarks.dialogues import KINDS, dialogues
from benchmarks.recall import counted
from gptoss_magic.retrieval.facts import asked_of, learned, recalled_facts
from gptoss_magic.retrieval.items import Item, line, quoted
from gptoss_magic.retrieval.memory import Memory


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def fact(text, subject, attribute, day="2026-01-01"):
    of = {"subject": subject, "attribute": attribute}
    return Item("fact", text, "one.ipynb", time=f"{day}T12:00:00+00:00", **of)


HOMES = [
    fact("Clara lives in Lyon.", "Clara", "home"),
    fact("Clara's sister is Dora.", "Clara", "sister", "2026-01-05"),
    fact("Dora lives in Porto.", "Dora", "home", "2026-01-06"),
    fact("Dora works as a pilot.", "Dora", "job", "2026-01-07"),
    fact("The user lives in Ghent.", "user", "home", "2026-01-08"),
    fact("Clara moved to Bergen.", "clara ", "Home", "2026-03-01"),
]


@pytest.fixture
def memory():
    made = Memory("pirate", "one.ipynb")
    made.learn(HOMES)
    return made


def texts(found):
    return [item.text for item in found]


def test_a_newer_fact_takes_the_place_and_the_older_one_stays(memory):
    held = {item.text: item for item in memory.items(kind="fact")}
    assert len(held) == 6
    assert held["Clara lives in Lyon."].until == "2026-03-01T12:00:00+00:00"
    assert held["Clara moved to Bergen."].holds
    assert "fact, 2026-01-01 until 2026-03-01: Clara lives in Lyon." in quoted(list(held.values()))
    assert memory.learn([HOMES[2], replace(HOMES[5], time="2026-04-01T00:00:00+00:00")]) == []
    assert len(memory.items()) == 6
    back = fact("Clara lives in Lyon.", "Clara", "home", "2026-05-01")
    assert texts(memory.learn([back])) == ["Clara lives in Lyon."]
    assert [item.holds for item in memory.items() if item.text == back.text] == [False, True]


def test_a_fact_that_is_taken_back_is_over(memory):
    assert memory.learn([fact("", "Dora", "home", "2026-06-01")]) == []
    assert memory.recall("Where does Dora live?") == []
    assert texts(memory.recall("Where did Dora live before?")) == ["Dora lives in Porto."]
    assert memory.learn([fact("", "Nobody", "home")]) == []
    assert len(memory.items()) == 6


def test_recall_keeps_to_who_is_meant_and_says_why(memory):
    (home,) = memory.recall("Where does Clara live?")
    assert (home.text, home.why) == ("Clara moved to Bergen.", "of clara")
    assert texts(memory.recall("Where do I live?")) == ["The user lives in Ghent."]
    sister = memory.recall("What is the job of Clara's sister?")
    assert texts(sister)[:2] == ["Clara's sister is Dora.", "Dora works as a pilot."]
    assert [item.why for item in sister][:2] == [
        "leads from Clara to Dora",
        "of Dora, whom another fact leads to",
    ]
    assert texts(memory.recall("Where did Clara live on 2026-02-01?")) == ["Clara lives in Lyon."]
    assert memory.recall("Where did Clara live on 2025-02-01?") == []
    assert memory.recall("Where does Xaver live?") == []
    assert memory.recall("What is Clara's shoe size?") == []
    assert 0.09 < home.score <= 1


def test_facts_stand_beside_what_else_is_remembered(memory):
    memory.remember([Item("note", "Clara lives for music, she says."), Item("note", "Tea is hot.")])
    found = memory.recall("Where does Clara live?")
    assert [item.kind for item in found] == ["fact", "note"]
    assert memory.recall("Where does Clara live?", without=[found[0].id])[0].kind == "note"
    assert len(memory.recall("Where does Clara live?", 1)) == 1
    assert Memory("pirate", "two.ipynb").recall("Where does Clara live?") == []
    assert memory.forget([found[0].id]) == 1
    assert "Clara moved to Bergen." not in texts(memory.items())


def test_a_table_of_an_older_version_learns_too(memory, monkeypatch):
    from gptoss_magic.retrieval import item_table, lance_items

    new = ("subject", "attribute", "until")
    older = tuple(name for name in item_table.FIELDS if name not in new)
    with monkeypatch.context() as patch:
        patch.setattr(lance_items, "FIELDS", older)
        Memory("old", "one.ipynb").remember([Item("note", "Clara likes herons.")])
    old = Memory("old", "one.ipynb")
    assert old.recall("herons")[0].subject == ""
    old.learn(HOMES)
    assert texts(old.recall("Where does Clara live?"))[0] == "Clara moved to Bergen."
    assert "Clara likes herons." in texts(old.items())


def test_what_a_question_is_about():
    asked = asked_of("Where does Dora live, and what did I say on 2026-02?", HOMES)
    assert (asked.subjects, asked.strangers, asked.day, asked.is_past) == (
        ("Dora", "user"),
        False,
        "2026-02-31",
        True,
    )
    assert asked_of("Does Xaver know Dora?", HOMES).strangers
    assert not asked_of("What is new in Lyon?", HOMES).strangers
    assert asked_of("dora's home", HOMES).subjects == ("Dora",)
    assert asked_of("Doras home", HOMES).subjects == ()


def test_nothing_is_scored_where_nobody_is_known():
    def never(query, texts):
        raise AssertionError(query)

    assert recalled_facts("Where does Xaver live?", HOMES, never, 4) == []
    assert recalled_facts("Where?", [], never, 4) == []


def test_names_are_no_patterns():
    odd = [fact("A.*(b lives in Lyon.", "A.*(b", "home"), fact("It is.", " ", "home")]
    assert asked_of("Where does A.*(b live?", odd).subjects == ("A.*(b",)
    assert learned(odd, odd) == []
    assert line(odd[0]).startswith("fact, 2026-01-01: A.*(b")


def test_dialogues_are_of_all_kinds_and_their_answers_are_in_them():
    drawn = dialogues(24, 5)
    assert [one.question.kind for one in drawn] == list(KINDS) * 4
    for one in drawn:
        said = [message.text for message in one.said]
        assert set(one.question.needed) <= set(said)
        assert len(said) >= 18
        assert not set(one.question.needed) & set(one.question.wrong)
    assert dialogues(6, 5) == drawn[:6]
    assert dialogues(6, 6) != drawn[:6]


def test_structure_finds_more_of_what_answers():
    right = counted(12, 7)
    assert right["structured"]["all"] > right["vectors"]["all"]
    assert right["none"]["all"] == right["none"]["taken back"] + right["none"]["nobody said"] == 4
    assert right["structured"]["all"] >= 9
