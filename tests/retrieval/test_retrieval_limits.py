"""Very large files, very many files, and interrupts between the last file and the end."""

import os
import subprocess
import sys

import pytest

from gptoss_magic.retrieval import upkeep
from gptoss_magic.retrieval.chunks import SECTION_CHARS, chunks, line_starts
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.ingest import BATCH_CHARS, next_commit
from gptoss_magic.retrieval.loaders import Document

LARGE = 200_000_000
INGEST = """
import resource, sys
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
index = Index.create(sys.argv[1], embedder_named("words"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = index.ingest([sys.argv[2]], max_bytes=300_000_000)
print(report.chunks, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)
"""


@pytest.fixture
def words(tmp_path):
    return Index.create(f"{tmp_path}/store/docs", embedder_named("words"))


def test_a_file_of_200_mb_is_refused_with_the_way_out(words, tmp_path):
    path = tmp_path / "large.txt"
    path.touch()
    os.truncate(path, LARGE)
    report = words.ingest([str(path)])
    assert [skipped.why for skipped in report.skipped] == [
        "too large: 200 MB, the limit is 20 MB; --max-mb 200 takes it"
    ]
    assert words.chunks.table.count_rows() == 0


def test_what_was_taken_with_a_higher_limit_stays(words, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one\n\n" + "words " * 2000)
    assert words.ingest([str(path)], max_bytes=1000).skipped
    assert words.ingest([str(path)], max_bytes=100_000).changed == 1
    path.write_text("two\n\n" + "words " * 2000)
    report = words.ingest([str(path)], max_bytes=1000)
    assert (report.changed, report.skipped, report.removed) == (1, [], [])


@pytest.mark.slow
def test_a_file_of_200_mb_is_indexed_in_bounded_memory(tmp_path):
    line = "The quick brown fox {} jumps over the lazy dog and sleeps in the sun.\n"
    path = tmp_path / "large.txt"
    with path.open("w") as file:
        number = 0
        while file.tell() < LARGE:
            file.write("".join(line.format(n) for n in range(number, number + 5000)) + "\n")
            number += 5000
    name = f"{tmp_path}/store/docs"
    done = subprocess.run(
        [sys.executable, "-c", INGEST, name, path], capture_output=True, text=True, check=True
    )
    num_chunks, num_mb = map(int, done.stdout.split())
    index = Index.open(name)
    assert num_chunks == index.chunks.table.count_rows() > 200_000
    assert num_mb < 2_000
    assert index.search("fox 12345", 1, by="words")[0].text.count("fox 12345") == 1


def test_a_long_text_is_cut_in_sections_without_a_gap():
    text = "".join(f"Line {n} of a text.{chr(10) * (1 + n % 3)}" for n in range(20_000))
    made = list(chunks(Document("s", "s", "d", "text", text)))
    assert len(text) > 2 * SECTION_CHARS
    end = 0
    for chunk in made:
        assert text[chunk.start : chunk.start + len(chunk.text)] == chunk.text
        assert not text[end : chunk.start].strip()
        end = chunk.start + len(chunk.text)
    assert not text[end:].strip()
    assert list(line_starts("a\n\nb")) == [0, 2, 3]
    wide = list(chunks(Document("s", "s", "d", "text", "x" * 500_010)))
    assert sum(len(chunk.text) for chunk in wide) == 500_010


def titled(count):
    """A document of so many headings, each above a line of text."""
    text = "".join(f"# Title {n}\n\nText {n}.\n\n" for n in range(count))
    headings = tuple((4 * n + 1, 1, f"Title {n}") for n in range(count))
    return Document("s", "s", "d", "markdown", text, headings)


def steps_of(work):
    """Lines and calls of Python that `work()` takes: the same on a busy machine."""
    counted, before = 0, sys.gettrace()

    def count(*_):
        nonlocal counted
        counted += 1
        return count

    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def test_many_headings_take_no_longer_than_their_text():
    made = list(chunks(titled(30_000)))
    assert all(chunk.heading == f"Title {chunk.first_line // 4}" for chunk in made)
    few, many = (steps_of(lambda n=n: list(chunks(titled(n)))) for n in (500, 2000))
    assert few > 500
    assert many < 5 * few


def test_10_000_tiny_files(words, tmp_path):
    for folder in range(100):
        (tmp_path / "many" / f"{folder}").mkdir(parents=True)
        for number in range(100):
            path = tmp_path / "many" / f"{folder}" / f"{number}.txt"
            path.write_text(f"file {100 * folder + number}")
    report = words.ingest([str(tmp_path / "many")])
    assert (report.files, report.changed, report.chunks) == (10_000, 10_000, 10_000)
    assert words.ingest([str(tmp_path / "many")]).changed == 0
    (tmp_path / "many" / "7" / "7.txt").unlink()
    assert len(words.refresh().removed) == 1
    assert words.search("9999", 1)[0].text == "file 9999"


def test_an_interrupt_while_the_indexes_are_made_keeps_all(words, tmp_path):
    """■ behind the last file: everything is in, and the next line goes on with the upkeep."""
    code = (
        "import _thread, sys, threading\n"
        "from gptoss_magic.retrieval.index import Index\n"
        "index = Index.open(sys.argv[1])\n"
        "told = lambda done, total, note: done == total and _thread.interrupt_main()\n"
        "print(index.ingest([sys.argv[2]], progress=told).finish)\n"
    )
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"file {number}")
    done = subprocess.run(
        [sys.executable, "-c", code, words.name, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout == "interrupt\n"
    again = words.ingest([str(folder)])
    assert (again.finish, again.files) == ("return", 5)
    assert words.chunks.table.count_rows() == 5
    assert not upkeep.tend(words.chunks.table, words.name)
    assert words.search("3", 1)[0].text == "file 3"


@pytest.mark.parametrize(("seconds", "batches"), [(60, 1), (0.25, 4), (0.0001, 10)])
def test_a_commit_holds_what_a_second_embeds(seconds, batches):
    """A kill costs a second or a batch of 400,000 characters; memory holds ten batches at most."""
    assert next_commit(BATCH_CHARS, seconds) == batches * BATCH_CHARS
