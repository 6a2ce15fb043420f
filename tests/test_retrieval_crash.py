"""Processes that write an index: killed at random moments, and two at the same time."""

import random
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest

from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.chunks import chunks
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.loaders import digest, read

NUM_FILES = 30
CHURN = """
import sys
from pathlib import Path
from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
ingest.BATCH_CHARS = 8_000
folder, name, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
index = Index.create(name, embedder_named("words"))
print("ready", flush=True)
for generation in range(first, first + 1000):
    for number in range(30):
        text = "\\n\\n".join(
            f"Part {part}. Generation {generation} of file {number}. " + "word " * 80
            for part in range(1 + (generation + number) % 5)
        )
        path = folder / f"{number}.txt"
        path.unlink(missing_ok=True)
        if (generation + number) % 7:
            path.write_text(text)
    index.ingest([str(folder)])
    print(f"done {generation}", flush=True)
"""
WRITE = """
import sys
from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.index import Index
ingest.BATCH_CHARS = 2_500
name, *paths = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
report = Index.create(name).ingest(paths)
print(report.finish, flush=True)
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def check_whole(index):
    """No chunk twice, every source whole and of one state; {source: its first text}."""
    rows = index.table.search().limit(100_000).to_list()
    assert max(Counter(row["id"] for row in rows).values(), default=1) == 1
    found = defaultdict(list)
    for row in rows:
        found[row["source"]].append(row)
    for held in found.values():
        held.sort(key=lambda row: row["number"])
        assert len({row["digest"] for row in held}) == 1
        assert [row["number"] for row in held] == list(range(len(held)))
        generation = int(held[0]["text"].split("Generation ")[1].split()[0])
        number = int(held[0]["text"].split("of file ")[1].split(".")[0])
        assert sum(row["text"].count("Part ") for row in held) == 1 + (generation + number) % 5
    return {source: held[0]["text"] for source, held in found.items()}


def test_a_kill_leaves_whole_files(tmp_path):
    folder, name = tmp_path / "docs", f"{tmp_path}/store/docs"
    folder.mkdir()
    rng, generation = random.Random(7), 1
    for _ in range(10):
        child = start(CHURN, folder, name, generation)
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.6))
        child.kill()
        said = [int(line.split()[1]) for line in child.stdout if line.startswith("done")]
        child.wait()
        index = Index.open(name)
        held = check_whole(index)
        for text in held.values():
            assert int(text.split("Generation ")[1].split()[0]) >= max(said, default=0)
        if said:
            lost = [n for n in range(NUM_FILES) if f"{folder}/{n}.txt" not in held]
            allowed = [max(said), max(said) + 1]
            assert all(any((g + n) % 7 == 0 for g in allowed) for n in lost)
        generation = max([*said, generation]) + 1
    index.ingest([str(folder)])
    on_disk = {str(path): path.read_bytes() for path in folder.iterdir() if path.stat().st_size}
    assert set(check_whole(index)) == set(on_disk)
    assert {s: d for s, (d, _) in ingest.known(index.table).items()} == {
        source: digest(data) for source, data in on_disk.items()
    }


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_two_processes_write_one_index(tmp_path, scheme):
    """With the lock of a local folder, and without it as on an object store."""
    folders = [tmp_path / name for name in ("one", "two", "both")]
    for folder in folders:
        folder.mkdir()
        for number in range(6):
            text = "\n\n".join(f"{folder.name} {number} {n} " + "word " * 60 for n in range(4))
            (folder / f"{number}.txt").write_text(text)
    (tmp_path / "store").mkdir()
    name = f"{scheme}{tmp_path}/store/docs"
    one, two, both = folders
    children = [start(WRITE, name, one, both), start(WRITE, name, two, both)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate()[0] for child in children] == ["return\n", "return\n"]
    rows = Index.open(name).table.search().limit(10_000).to_list()
    held = Counter(row["id"] for row in rows)
    assert max(held.values()) == 1
    expected = {
        chunk.id
        for folder in folders
        for path in folder.iterdir()
        for chunk in chunks(read(path, "", path.read_bytes()))
    }
    assert set(held) == expected


def test_a_second_writer_is_told_and_waits(tmp_path):
    from gptoss_magic.retrieval.store import writing

    (tmp_path / "a.txt").write_text("a text")
    name = f"{tmp_path}/store/docs"
    Index.create(name)
    told = []
    with writing(name, lambda: told.append("first")):
        child = start(WRITE, name, tmp_path / "a.txt")
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(1.5)
        assert child.poll() is None
        assert Index.open(name).table.count_rows() == 0
    assert child.communicate()[0] == "return\n"
    assert told == []
    assert Index.open(name).table.count_rows() == 1
