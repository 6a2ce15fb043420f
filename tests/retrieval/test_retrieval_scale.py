"""Tables large enough for indexes, and what keeps small ones fast."""

import numpy as np
import pyarrow as pa
import pytest

from gptoss_magic.retrieval import held, store, upkeep
from gptoss_magic.retrieval.index import Index

DIM = 16
NUM_ROWS = upkeep.INDEX_ROWS + 500


class Numbers:
    """A text's vector is drawn from a generator that its last word seeds."""

    name, dim = "numbers", DIM

    def embed(self, texts):
        return np.stack([vector(int(text.split()[-1])) for text in texts])


def vector(number):
    return np.random.default_rng(number).standard_normal(DIM).astype(np.float32)


def rows(table, numbers):
    """One chunk a source; `where` can pick one by its kind."""
    numbers = list(numbers)
    same = {"origin": "/x", "digest": "d", "heading": ""}
    columns = {key: [value] * len(numbers) for key, value in same.items()}
    columns |= {
        "id": [f"{n}" for n in numbers],
        "source": [f"/x/{n}" for n in numbers],
        "kind": [f"kind{n % 1000}" for n in numbers],
        "text": [f"text of word{n} {n}" for n in numbers],
        "folded": [f"text of word{n} {n}" for n in numbers],
        "vector": list(np.stack([vector(n) for n in numbers])),
    }
    columns |= {key: [0] * len(numbers) for key in ("number", "start", "first_line", "last_line")}
    return pa.table({name: columns[name] for name in table.schema.names}, schema=table.schema)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    name = f"{tmp_path_factory.mktemp('large')}/large"
    index = Index.create(name, Numbers())
    index.chunks.table.add(rows(index.chunks.table, range(NUM_ROWS)))
    index.optimize()
    return index


def test_a_large_table_has_every_index(large):
    made = {index.columns[0]: index for index in large.chunks.table.list_indices()}
    assert set(made) == {"folded", "vector", "id", "source"}
    assert all(index.num_indexed_rows == NUM_ROWS for index in made.values())


@pytest.mark.parametrize("by", ["words", "vectors", "both"])
def test_a_needle_is_found_through_the_indexes(large, by):
    for number in (7, 12_345, NUM_ROWS - 1):
        best = large.search(f"word{number} {number}", 1, by=by)
        assert [p.source for p in best] == [f"/x/{number}"]


def test_the_vector_index_agrees_with_looking_at_all(large):
    matrix = np.stack([vector(n) for n in range(NUM_ROWS)])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    hits = 0
    for number in range(100, 120):
        asked = vector(number) + 0.5 * vector(-number % 10_000)
        best = np.argsort(-(matrix @ asked))[:10]
        table = large.chunks.table.search(asked, vector_column_name="vector").distance_type(
            "cosine"
        )
        found = table.minimum_nprobes(20).refine_factor(4).limit(10).to_list()
        hits += len({f"/x/{n}" for n in best} & {row["source"] for row in found})
    assert hits >= 190


def test_where_is_right_beside_an_index(large):
    found = large.search("word1 1", 50, where="kind = 'kind777'", by="vectors")
    assert {p.source for p in found} == {f"/x/{n}" for n in range(777, NUM_ROWS, 1000)}
    assert large.search("word1 1", 5, where="source = '/x/12345'")[0].source == "/x/12345"


def test_rows_that_no_index_knows_are_found(large):
    large.chunks.table.add(rows(large.chunks.table, [500_000]))
    version = large.chunks.table.version
    assert not upkeep.tend(large.chunks.table, large.name)
    assert large.chunks.table.version == version
    for by in ("words", "vectors", "both"):
        assert large.search("word500000 500000", 1, by=by)[0].source == "/x/500000"
    assert large.search("word500000 500000", 1, where="source = '/x/500000'")
    large.chunks.table.delete("source = '/x/500000'")
    assert all(p.source != "/x/500000" for p in large.search("word500000 500000", 5))


def test_many_small_commits_are_merged(tmp_path):
    index = Index.create(f"{tmp_path}/small", Numbers())
    tended = []
    for number in range(upkeep.MAX_FRAGMENTS + 5):
        index.chunks.table.add(rows(index.chunks.table, [number]))
        tended.append(upkeep.tend(index.chunks.table, index.name))
    assert tended[0]
    assert 2 <= sum(tended) <= 8
    assert index.chunks.table.stats()["fragment_stats"]["num_fragments"] <= upkeep.MAX_FRAGMENTS
    assert [index.columns for index in index.chunks.table.list_indices()] == [["folded"]]


def test_a_table_in_memory_gives_what_the_table_gives(tmp_path):
    index = Index.create(f"{tmp_path}/store/small", Numbers())
    index.chunks.table.add(rows(index.chunks.table, range(300)))
    kept = held.Held()
    asked = vector(11) + vector(12)
    assert kept.nearest(index.chunks.table, asked, 10) is None
    found = kept.nearest(index.chunks.table, asked, 10)
    near = index.chunks.table.search(asked, vector_column_name="vector").distance_type("cosine")
    expected = near.limit(10).to_arrow()
    assert found["source"].to_pylist() == expected["source"].to_pylist()
    assert np.allclose(found["_distance"].to_numpy(), expected["_distance"].to_numpy(), atol=1e-5)
    other = store.open_table(index.name)
    other.add(rows(other, [400]))
    assert kept.nearest(index.chunks.table, vector(400), 1) is None
    assert kept.nearest(index.chunks.table, vector(400), 1)["source"].to_pylist() == ["/x/400"]
    assert kept.nearest(index.chunks.table, vector(400), 1000).num_rows == 301
