"""A persona's memory on disk: kept, recalled, edited, forgotten; items in a prompt are data."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.embedders import Words
from gptoss_magic.retrieval.items import HEAD, Item, line, quoted
from gptoss_magic.retrieval.memory import Memory, folder

SAID = [
    "user: My cat is called Miso and she is nine years old.\nassistant: What a lovely name.",
    "user: What is the capital of France?\nassistant: The capital of France is Paris.",
    "user: I work as a gardener in Lyon.\nassistant: Gardening is fine work.",
    "user: What is 12 times 7?\nassistant: 12 times 7 is 84.",
]


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def filled(name="pirate", notebook="one.ipynb", **how):
    memory = Memory(name, notebook, **how)
    memory.remember(
        [Item("episode", text, conversation="c", turn=n) for n, text in enumerate(SAID, 1)]
    )
    return memory


def test_what_bears_on_a_prompt_is_recalled():
    memory = filled()
    for query, turn in (("What is my cat's name?", 1), ("Where do I work?", 3)):
        best = memory.recall(query)[0]
        assert (best.turn, best.kind, best.notebook, best.conversation) == (
            turn,
            "episode",
            "one.ipynb",
            "c",
        )
        assert best.score > 0.2
    assert memory.recall("Who wrote Faust?") == []
    assert memory.recall("  ") == []
    cat = memory.recall("my cat")[0]
    assert cat.id not in {item.id for item in memory.recall("my cat", without=[cat.id])}


def test_words_alone_recall_too():
    memory = filled(embedder=Words())
    assert [item.turn for item in memory.recall("gardener")] == [3]
    assert memory.recall("zebra") == []


def test_the_same_turn_is_kept_once_and_another_process_sees_it():
    memory = filled()
    filled()
    assert [item.turn for item in Memory("pirate", "one.ipynb").items()] == [1, 2, 3, 4]
    assert memory.num_turns("c") == 4
    assert memory.num_turns("d") == 0


def test_notebooks_and_personas_are_apart():
    filled()
    other = Memory("pirate", "two.ipynb")
    assert other.recall("my cat") == other.items() == []
    assert other.recall("my cat", notebook=None)[0].turn == 1
    assert len(other.items(notebook=None)) == 4
    assert Memory("butler", "one.ipynb").items() == []


def test_items_are_shown_edited_and_forgotten_from_the_disk_too(disk):
    memory = filled()
    cat = memory.recall("my cat")[0]
    assert memory.show(cat.id[:6]).text == SAID[0]
    memory.edit(cat.id, "The user's dog is called Rex.")
    assert memory.recall("my dog")[0].id == cat.id
    assert memory.recall("my dog")[0].turn == 1
    assert not holding(disk, b"Miso")
    assert memory.forget([cat.id]) == 1
    assert not holding(disk, b"Rex")
    assert holding(disk, b"gardener")
    assert memory.forget([item.id for item in memory.items()]) == 3
    assert memory.items() == memory.recall("gardener") == []
    memory.remember([Item("note", "The user likes tea.")])
    assert [item.kind for item in memory.items()] == ["note"]


def holding(disk, text):
    return [path for path in disk.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_what_cannot_be_done():
    memory = filled()
    for action, says in (
        (lambda: memory.show("zz"), "no such item"),
        (lambda: memory.show(""), "4 items begin so"),
        (lambda: memory.edit(memory.items()[0].id, "  "), "empty"),
        (lambda: memory.forget(["zz"]), "no such item"),
        (lambda: memory.remember([Item("wish", "x")]), "no such kind"),
        (lambda: filled(embedder=Words()), "made with the embedder wordllama"),
    ):
        with pytest.raises(InputError, match=says):
            action()
    assert len(memory.items()) == 4


def test_a_table_that_is_none_of_ours_is_refused():
    import lancedb

    lancedb.connect(str(folder())).create_table("alien", [{"id": "a", "text": "b"}])
    with pytest.raises(InputError, match="another version made it"):
        Memory("alien").recall("b")


def writer(ready):
    memory = Memory("pirate", "one.ipynb")
    for n in range(10_000):
        memory.remember([Item("note", f"fact {n}"), Item("note", f"twin of {n}")])
        ready.value = n


def test_a_killed_kernel_loses_nothing_that_was_kept():
    context = multiprocessing.get_context("spawn")
    ready = context.Value("i", -1)
    process = context.Process(target=writer, args=(ready,))
    process.start()
    while ready.value < 3:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    texts = {item.text for item in Memory("pirate", "one.ipynb").items()}
    for n in range(ready.value + 1):
        assert {f"fact {n}", f"twin of {n}"} <= texts
    facts = {text.split()[-1] for text in texts if text.startswith("fact")}
    assert facts == {text.split()[-1] for text in texts if text.startswith("twin")}
    Memory("pirate", "one.ipynb").remember([Item("note", "after")])


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_no_item_can_pass_for_anything_but_a_line_of_data(texts):
    items = [Item("note", text, time="2026-11-27") for text in texts]
    lines = quoted(items).split("\n")
    assert lines[:2] == [HEAD, ""]
    assert len(lines) == 2 + len(items)
    for number, text in enumerate(lines[2:], 1):
        assert text.startswith(f"M{number}: note, 2026-11-27: ")
        assert "<|" not in text
        assert len(text.splitlines()) == 1


def test_a_long_item_is_cut():
    assert len(line(Item("note", "word " * 1000))) < 650
    assert not Path(folder()).exists()
