"""Processes that write an index: killed at random moments, and two at the same time."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest

from gptoss_magic.retrieval.chunks import chunks
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.loaders import digest, read

NUM_FILES = 30
CHURN = """
import os, sys
from pathlib import Path
import lancedb, lancedb.index
from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
ingest.BATCH_CHARS = 8_000
folder, name = Path(sys.argv[1]), sys.argv[2]

def churn(first):
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

for line in sys.stdin:
    child = os.fork()
    if not child:
        churn(int(line))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""
WRITE = """
import sys
from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.index import Index
ingest.BATCH_CHARS, ingest.COMMIT_S = 2_500, 0
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
    rows = index.chunks.table.search().limit(100_000).to_list()
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


def killed_at_random(writer, rng, first):
    """Let a process write from generation `first` on, and kill it; the generations it told."""
    writer.stdin.write(f"{first}\n")
    writer.stdin.flush()
    said, pid = [], 0
    while not (pid and "ready" in said):
        line = writer.stdout.readline().strip()
        pid = int(line) if line.isdigit() else pid
        said.append(line)
    time.sleep(rng.uniform(0.0, 0.4))
    os.kill(pid, signal.SIGKILL)
    while said[-1] != "dead":
        said.append(writer.stdout.readline().strip())
    return [int(line.split()[1]) for line in said if line.startswith("done")]


def test_a_kill_leaves_whole_files(tmp_path):
    """50 kills: no file that was told as done is lost or old, none is there in part or twice."""
    folder, name = tmp_path / "docs", f"{tmp_path}/store/docs"
    folder.mkdir()
    writer, rng, generation = start(CHURN, folder, name), random.Random(7), 1
    for _ in range(50):
        said = killed_at_random(writer, rng, generation)
        index = Index.open(name)
        held = check_whole(index)
        for text in held.values():
            assert int(text.split("Generation ")[1].split()[0]) >= max(said, default=0)
        if said:
            lost = [n for n in range(NUM_FILES) if f"{folder}/{n}.txt" not in held]
            allowed = [max(said), max(said) + 1]
            assert all(any((g + n) % 7 == 0 for g in allowed) for n in lost)
        generation = max([*said, generation]) + 1
    writer.stdin.close()
    assert writer.wait() == 0
    assert generation > 40
    index.ingest([str(folder)])
    on_disk = {str(path): path.read_bytes() for path in folder.iterdir() if path.stat().st_size}
    assert set(check_whole(index)) == set(on_disk)
    assert {s: d for s, (d, _) in index.known().items()} == {
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
    rows = Index.open(name).chunks.table.search().limit(10_000).to_list()
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
        assert Index.open(name).chunks.table.count_rows() == 0
    assert child.communicate()[0] == "return\n"
    assert told == []
    assert Index.open(name).chunks.table.count_rows() == 1


FULL = """
import resource, sys
from gptoss_magic.errors import StorageError
from gptoss_magic.retrieval.index import Index
index = Index.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    index.ingest([sys.argv[2]])
except StorageError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_harms_nothing(tmp_path):
    """No file of the child may grow beyond 60 kB: what a full disk does to one commit."""
    folder, name = tmp_path / "docs", f"{tmp_path}/store/docs"
    folder.mkdir()
    (folder / "small.txt").write_text("Part 0. Generation 0 of file 0. Small.")
    index = Index.create(name)
    index.ingest([str(folder)])
    parts = [f"Part {n}. Generation 1 of file 3. " + "word " * 150 for n in range(300)]
    (folder / "large.txt").write_text("\n\n".join(parts))
    child = start(FULL, name, folder)
    said = child.communicate()[0]
    assert child.returncode == 0
    assert said.count("\n") == 1
    assert "File too large" in said
    assert list(check_whole(index)) == [str(folder / "small.txt")]
    assert index.search("small", 1)[0].source.endswith("small.txt")
    assert index.ingest([str(folder)]).changed == 1
    assert index.search("Generation 1", 1)[0].source.endswith("large.txt")


IN_KERNEL = """
from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.index import Index
ingest.BATCH_CHARS, ingest.COMMIT_S = 2_500, 0
%load_ext gptoss_magic
%gptoss index {paths} --as {name} --embedder words
"""


def reply_to(client, asked_id):
    """The content of that request's reply; those of `wait_for_ready` may still come before it."""
    while True:
        reply = client.get_shell_msg(timeout=120)
        if reply["parent_header"].get("msg_id") == asked_id:
            return reply["content"]


def test_two_kernels_write_one_index(tmp_path):
    """Both run `%gptoss index` at once: one waits for the other, and nothing is there twice."""
    from jupyter_client import KernelManager

    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "both"]
    for folder in folders:
        folder.mkdir()
        for number in range(5):
            text = "\n\n".join(f"{folder.name} {number} {n} " + "word " * 60 for n in range(4))
            (folder / f"{number}.txt").write_text(text)
    name, (one, two, both) = f"{tmp_path}/store/docs", folders
    kernels = [KernelManager(kernel_name="python3") for _ in range(2)]
    try:
        for kernel in kernels:
            kernel.start_kernel()
        clients = [kernel.client() for kernel in kernels]
        for client in clients:
            client.start_channels()
            client.wait_for_ready(timeout=120)
        asked = [
            client.execute(IN_KERNEL.format(paths=f"{mine} {both}", name=name))
            for client, mine in zip(clients, (one, two), strict=True)
        ]
        replies = [
            reply_to(client, asked_id) for client, asked_id in zip(clients, asked, strict=True)
        ]
    finally:
        for kernel in kernels:
            kernel.shutdown_kernel(now=True)
    assert [reply["status"] for reply in replies] == ["ok", "ok"]
    held = Counter(
        row["id"] for row in Index.open(name).chunks.table.search().limit(10_000).to_list()
    )
    assert set(held.values()) == {1}
    assert set(held) == {
        chunk.id
        for folder in folders
        for path in folder.iterdir()
        for chunk in chunks(read(path, "", path.read_bytes()))
    }
