"""What each vector store must do, as functions of a store that is empty: one list for all kinds.

`opened()` gives the store, made the first time and opened again afterwards; `stopped()` lets go of
it as the end of a process does. They need no pytest, so that a peer's interpreter can run them.
"""

import numpy as np

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval.folding import searchable
from gptoss_magic.retrieval.stores.contract import INDEX, NUMBER, TEXT, StoredRow, StoreFacts, Where

DIM = 16
COLUMNS = {
    **dict.fromkeys(("source", "origin", "digest", "kind", "heading", "text"), TEXT),
    **dict.fromkeys(("number", "start", "first_line", "last_line"), NUMBER),
    "words": TEXT,
}
FACTS = StoreFacts(INDEX, "wordllama-16", DIM, COLUMNS)
ANIMALS = ("cat", "dog", "heron", "stork", "mole", "hare")


def vector(seed, dim=DIM):
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


def row(number, text="", source="/a.md", dim=DIM, made=None):
    text = text or f"The {ANIMALS[number % len(ANIMALS)]} of part {number} sleeps."
    fields = dict.fromkeys(("origin", "digest", "kind", "heading"), "x")
    fields |= {"source": source, "text": text, "words": searchable(text), "number": number}
    fields |= {"start": 10 * number, "first_line": number + 1, "last_line": number + 1}
    return StoredRow(f"id-{number}", fields, vector(number, dim) if made is None else made)


def ids(rows):
    return [one.id for one in rows]


def refused(action, says):
    """Whether `action` raises an InputError whose one line says so."""
    try:
        action()
    except InputError as error:
        said = str(error)
    else:
        return False
    return says in said and "\n" not in said


def what_is_put_in_is_there(opened, stopped):
    store = opened()
    assert store.count() == 0
    assert store.search(vector(0), 3) == store.words("cat", 3) == store.filter() == []
    assert store.add([row(n) for n in range(6)]) == 6
    assert store.count() == 6
    assert ids(store.get(["id-4", "none", "id-1"])) == ["id-4", "id-1"]
    (held,) = store.get(["id-3"])
    assert dict(held.fields) == dict(row(3).fields)
    assert np.allclose(held.vector, vector(3), atol=1e-6)
    assert sorted(one for part in store.walk() for one in ids(part)) == ids(store.filter())


def what_is_there_is_not_added_again(opened, stopped):
    store = opened()
    store.add([row(0), row(1)])
    assert store.add([row(1, "Another text."), row(2)]) == 1
    assert store.get(["id-1"])[0].fields["text"] == row(1).fields["text"]
    assert store.count() == 3


def an_upsert_takes_the_place(opened, stopped):
    store = opened()
    store.upsert([row(0), row(1)])
    store.upsert([row(1, "A walrus yawns.", made=vector(99)), row(2)])
    assert store.count() == 3
    assert ids(one for one, _ in store.search(vector(99), 1)) == ["id-1"]
    assert ids(one for one, _ in store.words("walrus", 5)) == ["id-1"]
    assert "id-1" not in ids(one for one, _ in store.words("dog", 5))
    near = store.search(vector(1), 3)
    assert sorted(ids(one for one, _ in near)) == ["id-0", "id-1", "id-2"]
    twice = [row(7), row(7, "The last one of an id counts.")]
    store.upsert(twice)
    assert store.get(["id-7"])[0].fields["text"] == "The last one of an id counts."


def what_is_deleted_is_gone(opened, stopped):
    store = opened()
    store.add([row(n) for n in range(6)])
    assert store.delete(["id-2", "none"]) == 1
    assert store.delete(["id-2"]) == 0
    assert store.delete([]) == 0
    assert store.get(["id-2"]) == []
    assert "id-2" not in ids(one for one, _ in store.search(vector(2), 6))
    assert store.words("heron", 5) == []
    assert store.count() == 5


def files_are_replaced_whole(opened, stopped):
    store = opened()
    store.add([row(n, source="/a.md" if n < 4 else "/b.md") for n in range(6)])
    before = store.version()
    store.replace([row(0, "New."), row(1, "Newer.")], Where({"source": ["/a.md"]}))
    assert ids(store.filter()) == ["id-0", "id-1", "id-4", "id-5"]
    assert store.get(["id-0"])[0].fields["text"] == "New."
    assert store.version() > before or store.version() == 0
    store.replace([], Where({"source": ["/b.md"]}))
    assert ids(store.filter()) == ["id-0", "id-1"]


def the_nearest_come_first(opened, stopped):
    store = opened()
    store.add([row(n) for n in range(40)])
    asked = vector(7) + 0.3 * vector(8)
    found = store.search(3 * asked, 5)
    matrix = np.stack([vector(n) for n in range(40)])
    near = matrix @ asked / np.linalg.norm(matrix, axis=1) / np.linalg.norm(asked)
    best = np.argsort(-near)[:5]
    assert ids(one for one, _ in found) == [f"id-{n}" for n in best]
    assert np.allclose([score for _, score in found], near[best], atol=1e-4)
    far = store.search(-vector(7), 40)
    assert far[-1][0].id == "id-7"
    assert abs(far[-1][1] + 1) < 1e-4
    assert all(-1 <= score <= 1 for _, score in far)
    assert ids(one for one, _ in store.search(vector(7), 1000))[0] == "id-7"
    assert store.search(vector(7), 0) == []


def a_vector_of_zeros_says_nothing(opened, stopped):
    store = opened()
    store.add([row(0, made=np.zeros(DIM, np.float32)), row(1)])
    assert ids(one for one, _ in store.search(vector(0), 5)) == ["id-1"]
    assert ids(one for one, _ in store.search(vector(0), 5, Where({"kind": ["x"]}))) == ["id-1"]
    assert ids(one for one, _ in store.words("cat", 5)) == ["id-0"]
    assert store.search(np.zeros(DIM), 5) == []
    assert not store.get(["id-0"])[0].vector.any()


def conditions_narrow(opened, stopped):
    store = opened()
    store.add([row(n, source=f"/{n % 3}.md") for n in range(30)])
    some = Where({"source": ["/1.md", "/2.md"], "number": list(range(20))})
    kept = [n for n in range(20) if n % 3]
    assert ids(store.filter(some)) == sorted(f"id-{n}" for n in kept)
    assert sorted(ids(one for one, _ in store.search(vector(3), 30, some))) == ids(
        store.filter(some)
    )
    assert ids(one for one, _ in store.search(vector(4), 1, some)) == ["id-4"]
    found = store.words("dog", 30, some)
    assert {one.fields["source"] for one, _ in found} <= {"/1.md", "/2.md"}
    assert sorted(ids(one for one, _ in found)) == sorted(f"id-{n}" for n in kept if n % 6 == 1)
    assert store.filter(Where({"source": ["/none.md"]})) == []
    assert store.filter(Where({"source": []})) == []
    assert refused(lambda: store.filter(Where({"size": [1]})), "no column size")


def a_condition_of_sql_is_read_or_refused(opened, stopped):
    store = opened()
    store.add([row(n) for n in range(10)])
    asked = Where(sql="number > 6")
    if not store.has_sql:
        assert refused(lambda: store.search(vector(1), 5, asked), "reads no SQL")
        return
    assert ids(store.filter(asked)) == ["id-7", "id-8", "id-9"]
    assert sorted(ids(one for one, _ in store.search(vector(1), 5, asked))) == [
        "id-7",
        "id-8",
        "id-9",
    ]
    assert ids(one for one, _ in store.words("dog", 5, asked)) == ["id-7"]


def words_are_found(opened, stopped):
    store = opened()
    store.add([row(n) for n in range(12)])
    store.add(
        [row(20, 'Don\'t say "NEAR(mole" OR * to a heron; c++ -x'), row(21, "Не знаю, хлеб.")]
    )
    assert ids(one for one, _ in store.words("walruses of the hare", 2)) in (
        ["id-5", "id-11"],
        ["id-11", "id-5"],
    )
    assert ids(one for one, _ in store.words("хлеб", 5)) == ["id-21"]
    odd = store.words('NEAR( "heron" AND -x* ^', 9)
    assert "id-20" in ids(one for one, _ in odd)
    assert all(score > 0 for _, score in odd)
    scores = [score for _, score in odd]
    assert scores == sorted(scores, reverse=True)
    assert store.words("  ", 3) == store.words("zebra", 3) == []


def any_text_comes_back(opened, stopped):
    store = opened()
    texts = ["", " ", 'a "quoted"\\ text\n\twith lines', "🌙 é ﬁ Ａ", "x" * 5000, "';--", "{}\x01"]
    store.add([row(n, text or " ", source=text or "'") for n, text in enumerate(texts)])
    for n, text in enumerate(texts):
        (held,) = store.get([f"id-{n}"])
        assert held.fields["text"] == (text or " ")
        assert ids(store.filter(Where({"source": [text or "'"]}))) == [f"id-{n}"]


def rows_that_do_not_fit_are_refused(opened, stopped):
    store = opened()
    store.add([row(0)])
    wide, odd = row(1, made=vector(1, DIM + 1)), row(1, made=np.full(DIM, np.nan, np.float32))
    for bad in (wide, odd):
        assert refused(lambda bad=bad: store.upsert([row(2), bad]), "16 finite numbers")
    less = StoredRow("id-1", {"text": "x"}, vector(1))
    assert refused(lambda: store.add([less]), "row id-1: fields text; give ")
    assert refused(lambda: store.search(vector(1, 3), 2), "16 finite numbers")
    assert ids(store.filter()) == ["id-0"]


def it_opens_again_as_it_was(opened, stopped):
    store = opened()
    store.add([row(n) for n in range(30)])
    store.delete(["id-3", "id-4"])
    store.upsert([row(5, "A walrus yawns.", made=vector(77))])
    before = store.filter()
    stopped(store)
    store.close()  # a second time, as at a process's end
    again = opened()
    assert again.facts == FACTS
    assert [(one.id, dict(one.fields)) for one in again.filter()] == [
        (one.id, dict(one.fields)) for one in before
    ]
    assert again.count() == 28
    assert ids(one for one, _ in again.search(vector(77), 1)) == ["id-5"]
    assert ids(one for one, _ in again.words("walrus", 3)) == ["id-5"]
    assert len(again.search(vector(3), 100)) == 28


CASES = [
    what_is_put_in_is_there,
    what_is_there_is_not_added_again,
    an_upsert_takes_the_place,
    what_is_deleted_is_gone,
    files_are_replaced_whole,
    the_nearest_come_first,
    a_vector_of_zeros_says_nothing,
    conditions_narrow,
    a_condition_of_sql_is_read_or_refused,
    words_are_found,
    any_text_comes_back,
    rows_that_do_not_fit_are_refused,
    it_opens_again_as_it_was,
]


def recall_of(store, num=10_000, dim=DIM, num_queries=50, k=10):
    """The share of the k nearest by brute force that a store of `num` vectors finds."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((200, dim))
    matrix = centres[rng.integers(0, 200, num)] + 0.5 * rng.standard_normal((num, dim))
    matrix = matrix.astype(np.float32)
    for begin in range(0, num, 2000):
        part = range(begin, min(begin + 2000, num))
        store.add([row(n, source=f"/{n}.md", made=matrix[n]) for n in part])
    store.flush()
    units = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    found = 0
    for asked in matrix[:num_queries] + 0.3 * rng.standard_normal((num_queries, dim)):
        best = {f"id-{n}" for n in np.argsort(-(units @ asked))[:k]}
        found += len(best & set(ids(one for one, _ in store.search(asked, k))))
    return found / (num_queries * k)
