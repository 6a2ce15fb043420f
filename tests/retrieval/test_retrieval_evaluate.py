"""Figures of retrieval against other ways to compute them; question files; what was missed."""

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.embedders import Words
from gptoss_magic.retrieval.evaluate import (
    evaluate,
    held_chunks,
    ndcg,
    read_questions,
    recall,
    reciprocal_rank,
)
from gptoss_magic.studies.questions import corpus_questions


@pytest.mark.parametrize(
    ("wanted", "ids", "expected"),
    [  # recall, MRR, nDCG@3 by hand
        (["a"], ["a", "b", "c"], (1, 1, 1)),
        (["a"], ["b", "a", "c"], (1, 1 / 2, 1 / math.log2(3))),
        (["a"], ["b", "c", "d"], (0, 0, 0)),
        (["a", "b"], ["x", "b", "y"], (0.5, 0.5, (1 / math.log2(3)) / (1 + 1 / math.log2(3)))),
        (["a", "b"], ["b", "x", "a"], (1, 1, (1 + 1 / 2) / (1 + 1 / math.log2(3)))),
        (["ab"], ["b", "a", "c"], (1, 1, 1)),
        (["a", "b", "c", "d"], ["a", "b", "c"], (0.75, 1, 1)),
    ],
)
def test_figures_by_hand(wanted, ids, expected):
    sets = [frozenset(each) for each in wanted]
    found = (recall(sets, ids), reciprocal_rank(sets, ids), ndcg(sets, ids, 3))
    assert found == pytest.approx(expected)


@given(st.sets(st.integers(0, 12), min_size=1), st.permutations(range(13)), st.integers(1, 13))
def test_figures_of_single_chunks_are_the_textbook_ones(wanted, ranking, k):
    import numpy as np

    top = ranking[:k]
    relevant = np.isin(top, list(wanted)).astype(float)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.sort(np.isin(ranking, list(wanted)).astype(float))[::-1][:k]
    sets = [frozenset([str(one)]) for one in wanted]
    ids = [str(one) for one in top]
    assert recall(sets, ids) == pytest.approx(relevant.sum() / len(wanted))
    assert ndcg(sets, ids, k) == pytest.approx(relevant @ discount / (ideal @ discount))
    first = np.flatnonzero(relevant)
    assert reciprocal_rank(sets, ids) == (1 / (first[0] + 1) if len(first) else 0)


@given(
    st.lists(st.frozensets(st.integers(0, 5), min_size=1), min_size=1), st.permutations(range(6))
)
def test_figures_lie_between_nothing_and_all(wanted, ids):
    for k in range(7):
        for found in (recall(wanted, ids[:k]), ndcg(wanted, ids, max(k, 1))):
            assert 0 <= found <= 1 + 1e-9


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("cats", "dogs", "birds"):
        text = f"# {name}\n\nThe {name} sleep long.\n\n" + f"More about {name} here. " * 30
        (tmp_path / f"{name}.md").write_text(text)
    index = gptoss_magic.Index.create("pets", Words())
    index.ingest([str(tmp_path / f"{name}.md") for name in ("cats", "dogs", "birds")])
    return index


def test_each_way_and_what_it_missed(pets, tmp_path):
    (chunk, *_) = [c for c in held_chunks(pets) if c["source"].endswith("dogs.md")]
    rows = [
        {"question": "cats", "source": "cats.md", "lines": [1, 4]},
        {"question": "dogs sleep", "chunk": chunk["id"], "text": chunk["text"], "reviewed": False},
        {"question": "birds", "answers": [{"source": "cats.md"}, {"source": "dogs.md"}]},
        {"question": "old", "chunk": chunk["id"], "text": "what it was"},
        {"question": "gone", "source": "cat.md"},
    ]
    found = evaluate(pets, rows, k=1)
    assert found.num_questions == 3
    assert found.num_unreviewed == 1
    assert found.stale == ("old", "gone")
    assert found.missed == {"words": ("birds",)}
    assert found.figures["words"].recall == pytest.approx(2 / 3)
    frame = found.to_frame()
    assert list(frame.index) == ["words"]
    assert frame.loc["words", "missed"] == 1
    with pytest.raises(InputError, match="no chunk"):
        evaluate(pets, rows[3:])


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"question": ""}', '{"question": "a"}', '{"question": "a", "answers": []}',
     '{"question": "a", "source": 1}', '{"question": "a", "source": "b", "lines": [1]}',
     '{"question": "a", "source": "b", "text": 3}'],
)  # fmt: skip
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a", "source": "b"}\n\n' + line)
    with pytest.raises(InputError, match=r"q.jsonl, line 3: "):
        read_questions(str(path))
    with pytest.raises(InputError, match="none: No such file or directory"):
        read_questions(str(tmp_path / "none"))


def test_questions_of_a_corpus_name_their_chunk():
    chunks = [
        {"id": str(n), "text": f"Topic{n} has colour number {n}. " * 9, "source": f"/d/{n}.md",
         "first_line": 1, "last_line": 2, "heading": ""}
        for n in range(6)
    ]  # fmt: skip
    chunks.append({**chunks[0], "id": "short", "text": "short"})

    def ask(prompt, number):
        topic = prompt.split("Text:\n")[1].split()[0]
        said = {
            "Topic0": "What is this text about?",
            "Topic1": ("nothing", 'Sure!\n"What colour has Topic1?"')[number],
            "Topic2": "Why does the sky shine?",
        }
        return SimpleNamespace(final=said.get(topic, f"Which colour has {topic}?"))

    rows = list(corpus_questions(chunks, 9, ask=ask))
    assert {row["chunk"] for row in rows} == {"1", "3", "4", "5"}
    assert all(f"Topic{row['chunk']}?" in row["question"] for row in rows)
    assert not any(row["reviewed"] for row in rows)
    assert rows == list(corpus_questions(chunks, 9, ask=ask))
    assert len(list(corpus_questions(chunks, 2, ask=ask))) == 2
    json.dumps(rows)
