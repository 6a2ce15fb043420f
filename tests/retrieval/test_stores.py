"""Every store by one list of cases (tests/store_cases.py): LanceDB, Faiss, Weaviate on loopback.

Chroma, which brings packages that would meet ours, runs them in a venv of its own
(tests/neighbours/test_chroma_store.py); a real Weaviate where WEAVIATE_URL names one.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.retrieval.stores import named
from gptoss_magic.retrieval.stores.contract import StoreFacts, Where, facts_of
from gptoss_magic.retrieval.stores.faiss import faiss_store
from gptoss_magic.retrieval.stores.lance import LanceStore
from gptoss_magic.retrieval.stores.local import ROWS
from gptoss_magic.retrieval.stores.weaviate import WeaviateStore
from tests.store_cases import CASES, DIM, FACTS, ids, recall_of, row, vector
from tests.store_kills import kills
from tests.weaviate_server import weaviate_server

faiss = pytest.importorskip("faiss", reason="pip install gptoss_magic[faiss]")
ROOT = Path(__file__).parents[2]
KINDS = ["lancedb", "faiss", "weaviate"]
LIVE = os.environ.get("WEAVIATE_URL", "")


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield tmp_path
    named.close_all()


@pytest.fixture
def made(request, tmp_path):
    """(opened, stopped) of an empty store of a kind."""
    kind = request.param
    if kind == "lancedb":
        yield lambda: LanceStore(f"{tmp_path}/docs", FACTS), lambda store: store.close()
    elif kind == "faiss":
        held = []

        def opened():
            held.append(faiss_store(tmp_path / "docs", "docs", FACTS))
            return held[-1]

        yield opened, lambda store: held.remove(store) or store.close()
        for store in held:
            store.close()
    else:
        with weaviate_server() as (url, _):
            yield lambda: WeaviateStore(url, "docs", "docs", FACTS), lambda store: store.close()


@pytest.mark.parametrize("made", KINDS, indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_store_keeps_the_contract(case, made):
    case(*made)


@pytest.mark.skipif(not LIVE, reason="WEAVIATE_URL names no server")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_real_weaviate_keeps_the_contract(case):
    table = f"test-{uuid.uuid4().hex}"
    store = WeaviateStore(LIVE, table, "docs", FACTS)
    try:
        case(lambda: WeaviateStore(LIVE, table, "docs", FACTS), lambda store: store.close())
    finally:
        store.drop()


@pytest.mark.parametrize("made", ["lancedb", "faiss"], indirect=True)
def test_ten_thousand_vectors_are_found_as_by_brute_force(made):
    opened, _ = made
    assert recall_of(opened()) == 1.0


def test_a_store_is_made_for_one_embedder_and_its_facts_are_read_back(tmp_path):
    store = faiss_store(tmp_path / "docs", "docs", FACTS)
    store.close()
    other = StoreFacts("index", "other-8", 8, FACTS.columns)
    again = faiss_store(tmp_path / "docs", "docs", other)
    assert again.facts == FACTS
    again.close()
    with pytest.raises(InputError, match="there is no store"):
        faiss_store(tmp_path / "none", "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("", "did not make"),
        (None, "did not make"),
        ("[1]", "did not make"),
        ({"gptoss_magic": 2}, "another version of gptoss_magic"),
        ({"dim": 0}, "such a store holds vectors"),
        ({"dim": 10**9}, "such a store holds vectors"),
        ({"columns": {"folded": "text", 'x" TEXT); DROP TABLE rows; --': "text"}}, "columns that"),
        ({"columns": {"folded": "text", "id": "text"}}, "columns that"),
        ({"columns": {"source": "text"}}, "columns that"),
        ({"columns": {"folded": "blob"}}, "columns that"),
    ],
)
def test_facts_of_anybody_are_checked(told, says):
    if isinstance(told, dict):
        told = json.dumps(json.loads(FACTS.as_json()) | told)
    with pytest.raises(InputError, match=says):
        facts_of(told, "docs")


def test_a_file_that_is_no_store_is_refused_and_stays(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / ROWS).write_bytes(b"something else")
    with pytest.raises(StorageError, match="not a database"):
        faiss_store(folder, "docs", FACTS)
    assert (folder / ROWS).read_bytes() == b"something else"
    (folder / ROWS).unlink()
    faiss_store(folder, "docs", FACTS).close()  # and nothing holds it


HOLD = """
import sys
from pathlib import Path
from gptoss_magic.retrieval.stores.faiss import faiss_store
from tests.store_cases import FACTS, row
store = faiss_store(Path(sys.argv[1]), "docs", FACTS)
store.add([row(0)])
print("open", flush=True)
sys.stdin.readline()
"""


def test_a_second_opener_is_told_who_holds_it(tmp_path):
    folder = tmp_path / "docs"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "open\n"
    begin = time.monotonic()
    with pytest.raises(StorageError, match=rf"docs: process {holder.pid} \(.*since.*holds .*docs"):
        faiss_store(folder, "docs", FACTS)
    assert time.monotonic() - begin < 5
    holder.kill()
    holder.wait()
    store = faiss_store(folder, "docs", FACTS)
    assert ids(store.filter()) == ["id-0"]
    store.close()


# --- Faiss's file


def stored(folder, num=20):
    store = faiss_store(folder, "docs", FACTS)
    store.add([row(n) for n in range(num)])
    store.close()
    (file,) = folder.glob("vectors-*.faiss")
    return file


def test_the_file_is_faiss_own(tmp_path):
    file = stored(tmp_path / "docs")
    index = faiss.read_index(str(file))
    assert (index.ntotal, index.d, index.metric_type) == (20, DIM, faiss.METRIC_INNER_PRODUCT)
    found = [path for path in (tmp_path / "docs").rglob("*") if path.is_file()]
    assert not [path for path in found if path.read_bytes().startswith(b"\x80")]  # no pickle


def damaged(data, kind):
    if kind == "cut":
        return data[:-9]
    if kind == "long":
        return data + b"x"
    if kind == "huge":  # ntotal of the outer index
        return data[:8] + (2**40).to_bytes(8, "little") + data[16:]
    if kind == "other":
        return b"IxPQ" + data[4:]
    return bytes(len(data))


@pytest.mark.parametrize("kind", ["cut", "long", "huge", "other", "zeros", "missing"])
@pytest.mark.parametrize("is_told", [False, True])
def test_a_damaged_file_is_made_anew_and_never_read(tmp_path, kind, is_told):
    """Told: the sidecar says that the damaged file is the right one, as a stranger's might."""
    import hashlib
    import sqlite3

    folder = tmp_path / "docs"
    file = stored(folder)
    if kind == "missing":
        file.unlink()
    else:
        data = damaged(file.read_bytes(), kind)
        file.write_bytes(data)
        if is_told:
            told = json.dumps([file.name, 20, hashlib.sha256(data).hexdigest()])
            with sqlite3.connect(folder / ROWS) as rows:
                rows.execute("UPDATE about SET value = ? WHERE key = 'faiss'", [told])
            rows.close()
    store = faiss_store(folder, "docs", FACTS)
    assert [one.id for one, _ in store.search(vector(7), 1)] == ["id-7"]
    assert len(store.search(vector(7), 100)) == 20
    store.close()


def test_what_was_not_saved_is_caught_up(tmp_path):
    """The process dies without `close`: the rows know more than Faiss's file."""
    folder = tmp_path / "docs"
    stored(folder)
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from gptoss_magic.retrieval.stores.faiss import faiss_store\n"
        "from tests.store_cases import FACTS, Where, row, vector\n"
        "store = faiss_store(Path(sys.argv[1]), 'docs', FACTS)\n"
        "store.upsert([row(3, 'A walrus.', made=vector(77)), row(50)])\n"
        "store.replace([], Where({'number': [4]}))\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT).returncode == 9
    store = faiss_store(folder, "docs", FACTS)
    assert store.count() == len(store.search(vector(0), 100)) == 20
    assert [one.id for one, _ in store.search(vector(77), 1)] == ["id-3"]
    assert [one.id for one, _ in store.search(vector(50), 1)] == ["id-50"]
    assert "id-4" not in ids(one for one, _ in store.search(vector(4), 100))
    store.close()


def test_what_is_deleted_is_gone_from_the_files(tmp_path):
    folder = tmp_path / "docs"
    store = faiss_store(folder, "docs", FACTS)
    store.add([row(n) for n in range(5)])
    store.add([row(7, "The secret word is Rumpelstiltskin.")])
    store.flush()
    unit = (vector(7) / np.linalg.norm(vector(7))).astype("<f4").tobytes()
    assert holding(folder, b"umpelstiltskin")
    assert holding(folder, unit)
    store.delete(["id-7"])
    for gone in (b"umpelstiltskin", b"umpelstiltskin"[:12], vector(7).tobytes(), unit):
        assert not holding(folder, gone)
    store.close()


def holding(folder, data):
    return [path for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]


def test_a_condition_cannot_write(tmp_path):
    store = faiss_store(tmp_path / "docs", "docs", FACTS)
    store.add([row(n) for n in range(5)])
    for bad in (
        "number =",
        "size > 1",
        "number > 1) UNION SELECT 1 --",
        "1); DELETE FROM rows; --",
    ):
        with pytest.raises(InputError, match=r"where .*: .*; the columns are source, "):
            store.filter(Where(sql=bad))
    assert store.count() == 5
    store.add([row(9)])
    store.close()


# --- killed at any moment


def test_a_killed_writer_leaves_nothing_doubled_or_lost(tmp_path):
    kills("faiss", lambda: faiss_store(tmp_path / "d", "d", FACTS), tmp_path / "d", 3, seed=1)


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    kills("faiss", lambda: faiss_store(tmp_path / "d", "d", FACTS), tmp_path / "d", 20, seed=2)


# --- Weaviate's requests


def test_requests_to_weaviate(monkeypatch):
    monkeypatch.setenv("WEAVIATE_API_KEY", "k3y")
    with weaviate_server(key="k3y") as (url, server):
        store = WeaviateStore(f"{url}/", "my-docs.2", "docs", FACTS)
        store.add([row(n) for n in range(3)])
        (made,) = server.classes.values()
        assert made["class"] == "Gptoss_my_2d_docs_2e_2"
        assert made["vectorizer"] == "none"
        assert made["vectorIndexConfig"] == {"distance": "cosine"}
        about = {one["name"]: one for one in made["properties"]}
        assert about["folded"]["tokenization"] == "word"
        assert about["source"]["tokenization"] == "field"
        assert not about["text"]["indexFilterable"]
        asked = [(method, path) for method, path, _ in server.asked]
        assert asked == [
            ("GET", "/v1/schema/Gptoss_my_2d_docs_2e_2"),
            ("POST", "/v1/schema"),
            ("POST", "/v1/graphql"),
            ("POST", "/v1/batch/objects"),
        ]
        assert {headers["Authorization"] for _, _, headers in server.asked} == {"Bearer k3y"}
        server.refuse = "disk is full"
        with pytest.raises(StorageError, match="disk is full"):
            store.upsert([row(5)])
        server.refuse = ""
        store.drop()
        assert server.classes == {}
        with pytest.raises(StorageError, match="Cannot query field"):
            store.search(vector(0), 1)
        monkeypatch.delenv("WEAVIATE_API_KEY")
        with pytest.raises(StorageError, match=r"HTTP 401: .*anonymous access"):
            WeaviateStore(url, "docs", "docs", FACTS)
    with pytest.raises(StorageError, match=r"docs: weaviate http.*refused"):
        WeaviateStore(url, "docs", "docs", FACTS)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://x", "give a server's address"),
        ("localhost:8080", "give a server's address"),
        ("http://", "give a server's address"),
        ("http://u:p@localhost:1", "no password in the URL"),
        ("http://localhost:1?x=1", "give a server's address"),
    ],
)
def test_what_is_no_address(url, says):
    with pytest.raises(InputError, match=says):
        WeaviateStore(url, "docs", "docs", FACTS)


def test_a_class_of_others_is_refused():
    with weaviate_server() as (url, server):
        server.classes["Gptoss_docs"] = {"class": "Gptoss_docs", "description": "Ours."}
        with pytest.raises(InputError, match="docs: a store that gptoss_magic did not make"):
            WeaviateStore(url, "docs", "docs", FACTS)


def test_a_key_is_not_sent_without_https_to_another_machine():
    from gptoss_magic.retrieval.stores.weaviate_wire import WeaviateWire

    sent = [
        WeaviateWire(url, "docs")._sends_key  # noqa: SLF001
        for url in ("http://localhost:1", "https://weaviate.test", "http://weaviate.test:8080")
    ]
    assert sent == [True, True, False]
