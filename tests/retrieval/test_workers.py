"""An index that several processes write: that of a single process, whatever ends them."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.children import environment
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.retrieval.embedders import Words, embedder_named
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.ingest import Ingested
from gptoss_magic.retrieval.walk import Found
from gptoss_magic.retrieval.workers import MODULE, _Worker, shared_out
from tests.retrieval.test_retrieval_index import Letters
from tests.shell_cells import new_shell, run

NUM_FILES = 12
OWNER = """
import sys
from gptoss_magic.retrieval.index import Index
print("begun", flush=True)
Index.create(sys.argv[1]).ingest(
    [sys.argv[2]], num_workers=2, progress=lambda *_: print("file", flush=True)
)
"""


def workers_of(pid=None):
    """Processes of an ingest that this one, or another, has started."""
    return [one for one in psutil.Process(pid).children() if is_worker(one)]


def is_worker(process):
    try:
        return MODULE in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


@pytest.fixture(autouse=True)
def _nobody_stays():
    yield
    assert workers_of() == []


@pytest.fixture
def docs(tmp_path):
    """Files of many sizes, some of which cannot be read, in several scripts."""
    folder = tmp_path / "docs"
    (folder / "Отчёты").mkdir(parents=True)
    for number in range(NUM_FILES):
        parts = "\n\n".join(f"Part {n}: harbour {n * number}." for n in range(number + 1))
        (folder / f"{number}.md").write_text(f"# File {number}\n\n{parts}")
    (folder / "Отчёты/касса.txt").write_text("Касса открыта с десяти до шести.")
    (folder / "empty.md").write_text("")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of it")
    (folder / "bytes.txt").write_bytes(bytes(range(256)) * 9)
    (folder / os.fsdecode(b"caf\xe9.md")).write_text("A name that is no UTF-8.")
    return folder


def made(name, docs, num_workers, embedder="words"):
    index = Index.create(str(name), embedder_named(embedder))
    return index, index.ingest([str(docs)], num_workers=num_workers)


def held(index):
    return index.chunks.table.search().limit(10_000).to_list()


def rows(index):
    columns = ("id", "source", "origin", "digest", "text", "number")
    return {tuple(row[column] for column in columns) for row in held(index)}


def said(report):
    counts = (report.files, report.changed, report.chunks, report.finish)
    return counts, sorted((s.path, s.why) for s in report.skipped), report.notes, report.removed


def test_several_make_the_index_of_one(tmp_path, docs):
    one, alone = made(tmp_path / "a/one", docs, 1, "wordllama-256")
    many, together = made(tmp_path / "a/many", docs, 3, "wordllama-256")
    assert said(together) == said(alone)
    assert len(together.skipped) == 4
    assert rows(many) == rows(one)
    vectors = [{row["id"]: row["vector"] for row in held(index)} for index in (one, many)]
    for key, vector in vectors[0].items():
        assert np.allclose(vector, vectors[1][key], atol=1e-6)
    assert many.search("Когда открыта касса?", 1)[0].source.endswith("касса.txt")
    again = many.ingest([str(docs)], num_workers=3)
    assert (again.files, again.changed, again.chunks) == (alone.files, 0, 0)


def test_what_changed_is_read_again_and_what_is_gone_goes(tmp_path, docs):
    index, _ = made(tmp_path / "c/docs", docs, 2)
    (docs / "3.md").write_text("# File 3\n\nIt speaks of a lighthouse.")
    (docs / "7.md").unlink()
    report = index.refresh(num_workers=2)
    assert (report.changed, report.removed) == (1, [str(docs / "7.md")])
    assert index.search("lighthouse", 1)[0].source == str(docs / "3.md")
    fresh, _ = made(tmp_path / "c/fresh", docs, 1)
    assert rows(index) == rows(fresh)


def test_an_interrupt_keeps_whole_files_and_the_same_line_goes_on(tmp_path, docs):
    index = Index.create(f"{tmp_path}/d/docs", embedder_named("words"))

    def stop(done, total, note):
        assert 0 < done <= total
        assert re.search(r"\.\w+$", note)
        raise KeyboardInterrupt

    report = index.ingest([str(docs)], num_workers=2, progress=stop)
    assert report.finish == "interrupt"
    assert len(index.known()) >= report.changed  # a commit may end as it is interrupted
    whole, _ = made(tmp_path / "d/whole", docs, 1)
    assert rows(index) <= rows(whole)
    assert index.ingest([str(docs)], num_workers=2).finish == "return"
    assert rows(index) == rows(whole)


def test_a_killed_process_is_named_and_the_others_end_their_work(tmp_path, docs):
    index, hit = Index.create(f"{tmp_path}/e/docs", embedder_named("words")), []

    def kill(_done, _total, _note):
        if not hit and (running := workers_of()):
            hit.append(running[0])
            hit[0].kill()

    def until_one_is_hit():
        for _ in range(20):  # it may have been through already
            index.ingest([str(docs)], num_workers=2, progress=kill)
            hit.clear()
            for source in index.known():
                index.chunks.delete([source])

    with pytest.raises(StorageError, match="a process of its own ended with -9; what") as told:
        until_one_is_hit()
    assert "\n" not in str(told.value)
    assert index.ingest([str(docs)], num_workers=2).finish == "return"
    whole, _ = made(tmp_path / "e/whole", docs, 1)
    assert rows(index) == rows(whole)


def test_a_process_that_another_interrupted_is_named(tmp_path, docs):
    index = Index.create(f"{tmp_path}/i/docs", embedder_named("words"))
    made = _Worker(index.name, 10**6, [])
    report = Ingested()
    made.hear({"report": {**asdict(Ingested()), "finish": "interrupt"}}, report)
    made.hear({"over": 0}, report)
    assert made.why == "a process of its own was interrupted"


def test_they_end_with_who_asked_them(tmp_path, docs):
    name = f"{tmp_path}/f/docs"
    command = [sys.executable, "-c", OWNER, name, str(docs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as owner:
        assert owner.stdout.readline() == "begun\n"
        assert owner.stdout.readline() == "file\n"
        workers = workers_of(owner.pid)
        owner.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    assert made(name, docs, 1, "wordllama-256")[1].finish == "return"


def test_what_several_cannot_write_is_refused(tmp_path, docs, monkeypatch):
    index = Index.create(f"{tmp_path}/g/docs", Words())
    for count in (0, -1, 65):
        with pytest.raises(InputError, match=rf"--workers {count}: give 1 to 64 processes"):
            index.ingest([str(docs)], num_workers=count)
    own = Index.create(f"{tmp_path}/g/letters", Letters())
    with pytest.raises(InputError, match="letters lives in this process alone; leave --workers"):
        own.ingest([str(docs)], num_workers=2)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    faiss = Index.create("near", embedder_named("wordllama-256"), f"faiss:{tmp_path}/near")
    with pytest.raises(InputError, match="faiss has one writer"):
        faiss.ingest([str(docs)], num_workers=2)
    assert own.ingest([str(docs)]).finish == "return"


def test_the_line_says_how_many(tmp_path, docs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell = new_shell()
    _, shown = run(shell, "%gptoss index docs --as ./h/docs --workers 2 --embedder words")
    assert f"index ./h/docs: {NUM_FILES + 1} files" in shown
    _, shown = run(shell, "%gptoss index refresh ./h/docs --workers 2")
    assert "0 of them new or changed" in shown
    _, shown = run(shell, "%gptoss index info ./h/docs --workers 2")
    assert "--workers means nothing beside it" in shown
    _, shown = run(shell, "%gptoss index docs --as ./h/docs --workers 0")
    assert "give 1 to 64 processes" in shown


@given(st.lists(st.integers(0, 10**9)), st.integers(1, 8))
def test_shares_are_all_files_of_about_as_many_bytes(sizes, count):
    found = [Found(f"/d/{n}", "/d", size) for n, size in enumerate(sizes)]
    parts = shared_out(found, count)
    assert sorted((f for part in parts for f in part), key=lambda f: f.path) == sorted(
        found, key=lambda f: f.path
    )
    loads = [sum(file.num_bytes for file in part) for part in parts]
    assert max(loads) - min(loads) <= max(sizes, default=0) + len(sizes)
