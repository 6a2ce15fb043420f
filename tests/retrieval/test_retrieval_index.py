"""A real LanceDB table on disk: ingest, update, removal, search, refusal."""

import json

import numpy as np
import pyarrow as pa
import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.embedders import WordLlama, Words, embedder_named
from gptoss_magic.retrieval.index import Index, passages, search_all
from gptoss_magic.retrieval.loaders import frame
from gptoss_magic.retrieval.query import WORDS_WEIGHT, fused


class Letters:
    """How often each letter stands in a text."""

    name, dim = "letters", 26

    def embed(self, texts):
        counts = [[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts]
        return np.array(counts, np.float32).reshape(-1, 26)


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "cats.md").write_text("# Cats\n\nA cat sleeps fifteen hours a day.\n")
    (folder / "dogs.md").write_text("# Dogs\n\nA dog barks at the postman.\n")
    return folder


@pytest.fixture(params=["words", "wordllama-256"])
def index(tmp_path, request):
    return Index.create(f"{tmp_path}/store/pets", embedder_named(request.param))


def sources(index):
    return sorted({row["source"].rpartition("/")[2] for row in rows(index)})


def rows(index):
    return index.chunks.table.search().limit(10_000).to_list()


def test_what_is_indexed_is_found(index, docs):
    report = index.ingest([str(docs)])
    assert (report.files, report.changed, report.finish) == (2, 2, "return")
    best = index.search("how many hours does a cat sleep", 1)[0]
    assert best.source == str(docs / "cats.md")
    assert (best.number, best.heading, best.first_line, best.last_line) == (1, "Cats", 1, 3)
    assert best.text == (docs / "cats.md").read_text().strip()
    assert best.index == index.name


def test_only_changed_files_are_read_again(index, docs):
    index.ingest([str(docs)])
    version = index.chunks.table.version
    again = index.ingest([str(docs)])
    assert (again.files, again.changed, again.chunks) == (2, 0, 0)
    assert index.chunks.table.version == version
    (docs / "cats.md").write_text("# Cats\n\nA cat purrs.\n")
    assert index.refresh().changed == 1
    assert not any("fifteen" in row["text"] for row in rows(index))
    assert index.search("purrs", 1)[0].text.endswith("purrs.")


def test_a_shorter_file_leaves_no_old_chunks(index, docs):
    (docs / "cats.md").write_text(
        "\n\n".join(f"Paragraph {n}. " + "word " * 100 for n in range(30))
    )
    index.ingest([str(docs)])
    assert len(rows(index)) > 10
    (docs / "cats.md").write_text("short")
    index.ingest([str(docs)])
    assert len(rows(index)) == 2


def test_removed_and_emptied_files_go(index, docs):
    index.ingest([str(docs)])
    (docs / "cats.md").unlink()
    (docs / "dogs.md").write_text("")
    report = index.refresh()
    assert sorted(report.removed) == [str(docs / "cats.md"), str(docs / "dogs.md")]
    assert [skipped.why for skipped in report.skipped] == ["empty"]
    assert rows(index) == []


def test_a_file_given_by_itself_goes_when_it_is_gone(index, docs):
    index.ingest([str(docs / "cats.md"), str(docs / "d*.md")])
    (docs / "cats.md").unlink()
    (docs / "dogs.md").rename(docs / "dachshunds.md")
    index.refresh()
    assert sources(index) == ["dachshunds.md"]


def test_other_paths_stay(index, docs, tmp_path):
    other = tmp_path / "other's \"folder"
    other.mkdir()
    (other / "it's; --.md").write_text("a bird sings")
    index.ingest([str(docs), str(other)])
    (docs / "cats.md").unlink()
    index.ingest([str(docs)])
    assert sources(index) == ["dogs.md", "it's; --.md"]
    (other / "it's; --.md").unlink()
    index.refresh()
    assert sources(index) == ["dogs.md"]


def test_a_missing_folder_removes_nothing(index, docs):
    index.ingest([str(docs)])
    docs.rename(docs.with_name("away"))
    with pytest.raises(InputError, match="is not there"):
        index.refresh()
    assert len(rows(index)) == 2


def test_a_path_that_is_not_there_changes_nothing(index, docs):
    with pytest.raises(InputError, match="no such"):
        index.ingest([str(docs), str(docs / "nowhere")])
    assert rows(index) == []


def test_an_interrupt_keeps_what_is_done(index, docs):
    (docs / "zebras.md").write_text("# Zebras\n\n" + "A zebra runs. " * 40_000)

    def stop(done, total, note):
        if note == "zebras.md":
            raise KeyboardInterrupt

    report = index.ingest([str(docs)], progress=stop)
    assert report.finish == "interrupt"
    assert sources(index) == ["cats.md", "dogs.md", "zebras.md"]
    assert index.ingest([str(docs)]).changed == 0


def test_a_second_handle_sees_the_commit(index, docs):
    second = Index.open(index.name)
    index.ingest([str(docs)])
    assert second.search("postman", 1)[0].source.endswith("dogs.md")


def test_a_version_stays_as_it_was(index, docs):
    index.ingest([str(docs)])
    then = index.chunks.table.version
    (docs / "cats.md").write_text("nothing of the kind")
    index.ingest([str(docs)])
    assert then in [number for number, _ in index.versions()]
    assert "fifteen" in Index.open(index.name, version=then).search("cat sleeps", 1)[0].text
    assert not any("fifteen" in p.text for p in index.search("cat sleeps", 2))
    with pytest.raises(InputError, match="no version 999"):
        Index.open(index.name, version=999)


def test_where_narrows_and_is_checked(index, docs):
    (docs / "cat.txt").write_text("A cat in a text file.")
    index.ingest([str(docs)])
    found = index.search("cat", 5, where="kind = 'text'")
    assert [p.source for p in found] == [str(docs / "cat.txt")]
    for bad in ("nothing = 1", "kind = '", "1; drop table pets"):
        with pytest.raises(InputError, match="the columns are"):
            index.search("cat", 5, where=bad)
    for query, k in ((" ", 5), ("cat", 0)):
        with pytest.raises(InputError):
            index.search(query, k)


def test_neighbours_are_one_passage(index, docs):
    text = "\n\n".join(f"Section {n}.\nA walrus swims. " + "word " * 90 for n in range(12))
    (docs / "walrus.txt").write_text(text)
    index.ingest([str(docs / "walrus.txt")])
    lines = text.split("\n")
    found = index.search("walrus", 50)
    assert sum(1 for p in found if p.source.endswith("walrus.txt")) == 1
    for passage in found:
        shown = passage.text.split("\n")
        assert len(shown) == passage.last_line - passage.first_line + 1
        assert [s.strip() for s in shown] == [
            line.strip() for line in lines[passage.first_line - 1 : passage.last_line]
        ]


def test_passages_keep_the_order_of_rank():
    def row(source, number):
        lines = {"first_line": number + 1, "last_line": number + 1}
        place = {"start": 9 * number, "score": 0.0, **lines}
        return {"source": source, "number": number, "heading": "", "text": f"{number}", **place}

    found = passages("x", [row("b", 4), row("a", 1), row("b", 3), row("a", 7)])
    assert [(p.number, p.source, p.first_line, p.last_line) for p in found] == [
        (1, "b", 4, 5),
        (2, "a", 2, 2),
        (3, "a", 8, 8),
    ]


def test_frames_and_files_in_one_index(index, docs):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"animal": ["heron", "stork"], "legs": [2, 2]})
    index.ingest([str(docs)], [frame("birds", table)])
    assert index.search("stork", 1)[0].source == "frame:birds"
    index.refresh()
    assert "frame:birds" in sources(index)


def test_several_indexes_in_turn(index, docs, tmp_path):
    index.ingest([str(docs / "cats.md")])
    second = Index.create(f"{tmp_path}/store/second", Words())
    second.ingest([str(docs / "dogs.md")])
    found = search_all([index.name, second.name], "cat dog postman hours", 2)
    assert [(p.number, p.index) for p in found] == [(1, index.name), (2, second.name)]


def test_another_embedder_is_refused(tmp_path, docs):
    name = f"{tmp_path}/store/letters"
    made = Index.create(name, Letters())
    made.ingest([str(docs)])
    assert made.search("postman", 1)[0].source.endswith("dogs.md")
    with pytest.raises(InputError, match=f"made with letters .26.* %gptoss index drop {name}"):
        Index.open(name, Words())
    with pytest.raises(InputError, match="embedder letters"):
        Index.open(name)
    assert len(rows(Index.open(name, Letters()))) == 2


def test_another_schema_and_a_foreign_table_are_refused(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    db = store.connect(str(folder))
    old = {"embedder": "words", "dim": 0, "schema": 0}
    for name, metadata in (("old", {store.KEY: json.dumps(old).encode()}), ("foreign", None)):
        db.create_table(name, schema=pa.schema([pa.field("a", pa.int32())], metadata=metadata))
    with pytest.raises(InputError, match=r"schema 0.*index drop"):
        Index.open(f"{folder}/old")
    with pytest.raises(InputError, match="did not make"):
        Index.open(f"{folder}/foreign")


@pytest.mark.parametrize("name", ["", "a b", "../..", "x/", "-x", "s3://bucket/"])
def test_names_that_cannot_be(name):
    with pytest.raises(InputError, match="a name has"):
        store.place(name)


def test_drop_and_what_there_is(index, docs):
    with pytest.raises(InputError, match="there are: pets"):
        Index.open(index.name.replace("pets", "cars"))
    store.drop_table(index.name)
    with pytest.raises(InputError, match="no such index"):
        Index.open(index.name)


def test_vectors_are_finite_and_of_length_one():
    vectors = WordLlama().embed(["a cat", "", "\x00", "🙂" * 500])
    lengths = np.linalg.norm(vectors, axis=1)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 256)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))


def test_a_rank_by_words_counts_double():
    """2 / (10 + rank) by words, 1 / (10 + rank) by vector, summed."""
    shared = {"source": "x", "start": 0, "heading": "", "first_line": 1, "last_line": 1, "text": ""}
    near, words = (
        pa.Table.from_pylist([{**shared, "number": number} for number in numbers])
        for numbers in ([0, 1], [1, 2])
    )
    found = fused([(1.0, near), (WORDS_WEIGHT, words)], 2)
    assert [row["number"] for row in found] == [1, 2]
    assert [row["score"] for row in found] == pytest.approx([1 / 12 + 2 / 11, 2 / 12])
