"""An index in a bucket: the S3 protocol over HTTP, served by moto in a process of its own.

moto wants an older python-dateutil than ours: install requirements/s3.txt into another environment
and name its Python in S3_SERVER_PYTHON. Without it these tests are skipped; the same commits
without a lock are tested on `file://` in test_retrieval_crash.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

import pytest

from gptoss_magic.errors import StorageError
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index

PYTHON = os.environ.get("S3_SERVER_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="S3_SERVER_PYTHON names no Python with moto")
SERVE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
app = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""
WRITE = """
import sys
from gptoss_magic.retrieval import ingest
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
ingest.BATCH_CHARS, ingest.COMMIT_S = 2_000, 0
name, *paths = sys.argv[1:]
index = Index.open(name, embedder_named("words"))
print("ready", flush=True)
sys.stdin.readline()
print(index.ingest(paths).finish, flush=True)
"""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """`s3://bucket/…`; where it is stands in the environment, as for any S3 client."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([PYTHON, "-c", SERVE, str(port)], stderr=subprocess.DEVNULL)
    settings = {
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "user",
        "AWS_SECRET_ACCESS_KEY": "password",
    }
    with pytest.MonkeyPatch.context() as environment:
        for key, value in settings.items():
            environment.setenv(key, value)
        make = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
        for _ in range(200):
            try:
                urllib.request.urlopen(make, timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield "s3://bucket"
    server.kill()
    server.wait()


def test_an_index_in_a_bucket(bucket, tmp_path):
    (tmp_path / "cats.md").write_text("# Cats\n\nA cat sleeps fifteen hours a day.\n")
    (tmp_path / "dogs.md").write_text("# Dogs\n\nA dog barks at the postman.\n")
    index = Index.create(f"{bucket}/one/pets", embedder_named("wordllama-256"))
    assert index.ingest([str(tmp_path)]).changed == 2
    assert index.search("postman", 1)[0].source.endswith("dogs.md")
    version = index.chunks.table.version
    (tmp_path / "dogs.md").write_text("# Dogs\n\nA dog fetches the newspaper.\n")
    assert index.refresh().changed == 1
    assert Index.open(f"{bucket}/one/pets", version=version).search("postman", 1)
    assert "newspaper" in index.search("dog", 1, where="kind = 'markdown'")[0].text
    assert store.names(f"{bucket}/one") == ["pets"]
    store.drop_table(f"{bucket}/one/pets")
    assert store.names(f"{bucket}/one") == []


def test_two_processes_write_into_a_bucket(bucket, tmp_path):
    """No lock is there: commits that meet are tried again, and nothing is there twice."""
    for number in range(6):
        parts = (f"Part {part} of {number}. " + "word " * 100 for part in range(4))
        (tmp_path / f"{number}.txt").write_text("\n\n".join(parts))
    name = f"{bucket}/two/docs"
    index = Index.create(name, embedder_named("words"))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, name, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate()[0] for child in children] == ["return\n"] * 2
    held = Counter((row["source"], row["number"]) for row in index.chunks.table.search().to_list())
    assert len({source for source, _ in held}) == 6
    assert set(held.values()) == {1}
    assert len(held) == index.chunks.table.count_rows()


def test_a_bucket_that_is_not_there_is_one_line(bucket):
    with pytest.raises(StorageError, match="nowhere") as caught:
        Index.create("s3://nowhere/one/pets", embedder_named("words"))
    assert "\n" not in str(caught.value)
